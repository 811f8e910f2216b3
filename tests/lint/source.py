"""The source tree as the checks read it: files, their text without comments, what they define, and the violations found."""
import re
from pathlib import Path

COMMENT = r"/\*.*?\*/|//[^\n]*"
LITERAL = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''

# A definition at the left margin. Static ones are of no interest to other files.
FUNCTION = re.compile(r"^(?!static\b|typedef\b|extern\b|#|\s|\})[A-Za-z_][^;{}()#=]*?\b(\w+)\((?:[^;{}]|\n)*?\)\s*\n\{", re.M)
STATIC_FUNCTION = re.compile(r"^static [^;{}()#=]*?\b(\w+)\((?:[^;{}]|\n)*?\)\s*\n\{", re.M)
DATA = re.compile(r"^(?!static\b|typedef\b|extern\b|#|\s|\})[A-Za-z_][^;{}()#=]*?\b(\w+)(?:\[[^\]]*\])*\s*(?:=|;)", re.M)
MACRO = re.compile(r"^#\s*define\s+(\w+)\((?:[^\n]*\\\n)*[^\n]*", re.M)
# A name that is called or taken: no tag of a type, which may be called the same.
WORD = re.compile(r"(?<!struct )(?<!enum )(?<!union )\b[A-Za-z_]\w*\b")


def blank(pattern, text):
    """The same text with what matches blanked, line breaks kept."""
    return re.sub(pattern, lambda match: re.sub(r"[^\n]", " ", match.group(0)), text, flags=re.S)


def without_comments(text):
    """Strings stay: a /* in one does not begin a comment."""
    return re.sub(COMMENT + "|" + LITERAL,
                  lambda match: match.group(0) if match.group(0)[0] in "\"'" else re.sub(r"[^\n]", " ", match.group(0)), text, flags=re.S)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


class Tree:
    """`complain` collects what a check finds; `skip` what could not be checked here."""

    def __init__(self, source, generated=None, compiler="cc"):
        self.source = Path(source)
        self.generated = generated
        self.compiler = compiler
        self.violations = []
        self.skipped = []
        self._texts = {}

    def complain(self, path, line, text):
        path = Path(path)
        if path.is_relative_to(self.source):
            path = path.relative_to(self.source)
        self.violations.append(f"{path}:{line}: {text}")

    def skip(self, text):
        self.skipped.append(text)

    def files(self, *folders, suffixes=(".c", ".h")):
        for folder in folders:
            for path in sorted((self.source / folder).rglob("*")):
                if path.suffix in suffixes and path.is_file():
                    yield path

    def name(self, path):
        return path.relative_to(self.source).as_posix()

    def _cached(self, kind, path, make):
        if (kind, path) not in self._texts:
            self._texts[kind, path] = make()
        return self._texts[kind, path]

    def text(self, path):
        return self._cached("text", path, path.read_text)

    def bare(self, path):
        """Without comments."""
        return self._cached("bare", path, lambda: without_comments(self.text(path)))

    def code(self, path):
        """Without comments and the insides of literals."""
        return self._cached("code", path, lambda: blank(COMMENT + "|" + LITERAL, self.text(path)))

    def live(self, path):
        """What of a file does something: all of a .c file; of a header the macros and the bodies of inline functions."""
        if path.suffix == ".c":
            return self.code(path)
        return self._cached("live", path, lambda: _live(self.code(path)))

    def exports(self, path):
        """{name: line} of what a file defines for others: functions and data of a .c file; macros with arguments and inline functions of a
        header."""
        found = {}
        code = self.code(path)
        if path.suffix == ".h":
            patterns = (STATIC_FUNCTION, MACRO)
        else:
            patterns = (FUNCTION, DATA)
        for pattern in patterns:
            for match in pattern.finditer(code):
                if pattern is DATA and re.match(r"(struct|enum|union) \w+;", match.group(0)):
                    continue  # a declaration of a type
                found.setdefault(match.group(1), line_of(code, match.start(1)))
        for name in re.findall(r"^#\s*undef\s+(\w+)", code, re.M):
            found.pop(name, None)
        found.pop("main", None)
        return found

    def own(self, path):
        """Names that a .c file keeps to itself."""
        return {match.group(1) for match in STATIC_FUNCTION.finditer(self.code(path))} if path.suffix == ".c" else set()


def _live(code):
    kept, inside = [], None
    for line in code.split("\n"):
        if inside is None:
            if re.match(r"#\s*define\b", line):
                inside = "macro"
            elif line == "{":
                inside = "body"
        kept.append(line if inside else "")
        if (inside == "macro" and not line.endswith("\\")) or (inside == "body" and line == "}"):
            inside = None
    return "\n".join(kept)
