"""What programs must say and be called, in one place: README.md has the same table in words."""

# Options of the tool that a test uses where the tool has them.
FIRST, MAX_WINDOW, ASK, FORCE, FLOOR = "--first", "--max-window-ms", "--ask", "--force", "--floor-ms"
FLEET_ID, CLOCK_SOURCE = "--fleet-id", "--clock-source"

# Log lines: event and what its text must have.
DISCONNECTED = r"coordinator\.disconnected"
CONNECTED = r"coordinator\.connected"
CLAIMED = r"slot\.claimed"
CONFIG_GONE = r"slot\.gone .*config is gone"
OTHER_FLEET = r"slot\.gone .*another fleet"
OTHER_FLEET_IDS = r"fleet id: the coordinator has \S+, our reservations are from \S+"
LOST_WRITES = r"fleet\.lost .*has lost data"
SUPERSEDED = r"fleet\.superseded"
HALTED = r"(fleet|worker)\.halted"
RELEASED = r"slot\.released"
EXPECTED_ID = r"fleet id: the coordinator has \S+, this worker was told \S+"
EXPECTED_EPOCH = r"epoch_ms: the coordinator has -?\d+, this worker was told -?\d+"
EXPECTED_LAYOUT = r"layout: the coordinator has [\d,]+, this worker was told [\d,]+"

# /readyz of whoever cannot mint because of it.
READYZ_HALTED = r"(?s)halted.*init --after-data-loss"
READYZ_MISSING = r"snowfleet init|config"
READYZ_FLOOR = r"floor"

# /status and metrics.
STATE_HALTED = "halted"
METRIC_HALTED = "snowfleet_fleet_halted"

# snowfleet slots.
LEAKED = "leaked"
RELEASE_ALIVE = r"(?i)answers|alive"

# snowfleet init.
LIVE_CLAIMS = r"(?i)\b1 live claim"

EXIT_RESTARTABLE, EXIT_UNFIT = 75, 78
