//go:build go1.21

package snowfleet

import "log/slog"

// SlogHook is an Options.Log that writes to a logger of the standard library.
func SlogHook(logger *slog.Logger) func(Event) {
	return func(event Event) {
		if event.Warning {
			logger.Warn("snowfleet: "+event.Message, "server", event.Server)
		} else {
			logger.Info("snowfleet: "+event.Message, "server", event.Server)
		}
	}
}
