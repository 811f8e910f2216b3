"""The vectors that all languages share (tests/vectors of the repository)."""
import json
import pathlib
import unittest

from snowfleet import Layout, Parts, from_base32, frames, to_base32

VECTORS = pathlib.Path(__file__).resolve().parents[3] / "tests/vectors"


class Vectors(unittest.TestCase):
    def test_ids(self):
        vectors = json.loads((VECTORS / "ids.json").read_text(encoding="utf-8"))
        for row in vectors["ids"]:
            identifier, layout = int(row["id"]), Layout(**row["layout"], epoch_ms=row["epoch_ms"])
            parts = Parts(row["unix_ms"], row["datacenter"], row["worker"], row["sequence"])
            self.assertEqual(layout.decode(identifier), parts)
            self.assertEqual(layout.encode(parts.unix_ms, parts.datacenter, parts.worker, parts.sequence), identifier)
            self.assertEqual(to_base32(identifier), row["base32"])
            self.assertEqual(from_base32(row["base32"]), identifier)
        for row in vectors["read_as"]:
            self.assertEqual(from_base32(row["base32"]), int(row["id"]))
        for text in vectors["refused"]:
            self.assertRaises(ValueError, from_base32, text)
        self.assertEqual(sorted(vectors["ids"], key=lambda row: row["base32"]), sorted(vectors["ids"], key=lambda row: int(row["id"])))
        for bad in ((0, 21, 21, 21), (41, 5, 5, 13), (64, -1, 0, 0)):
            self.assertRaises(ValueError, Layout, *bad)

    def test_frames(self):
        seen = set()
        for row in json.loads((VECTORS / "frames.json").read_text(encoding="utf-8"))["frames"]:
            raw, values, kind = bytes.fromhex(row["bytes"]), row.get("values", {}), row["kind"]
            seen.add(kind)
            if kind == "next":
                after = int(values["after"]) if "after" in values else None
                self.assertEqual(frames.put_next(int(values["id"]), int(values["count"]), after), raw)
            elif kind == "ids":
                runs = [tuple(map(int, run.split("+"))) for run in values["runs"].split(",")]
                self.assertEqual(frames.get_runs(raw[12:], sum(count for _, count in runs)), runs)
            elif kind == "broken" and raw[5] == 0x81 and raw[7] == 0:
                self.assertFalse([count for count in range(65537) if frames.get_runs(raw[12:], count) is not None], row["name"])
            elif kind == "error":
                self.assertEqual(frames.get_refusal(raw[12:]), (int(values["retry"]), values["reason"]))
            elif kind == "broken" and raw[7]:
                self.assertIsNone(frames.get_refusal(raw[12:]))
        self.assertLessEqual({"next", "ids", "broken", "error"}, seen)


if __name__ == "__main__":
    unittest.main()
