"""The list of scenarios, and how they are run: every language does every scenario. Python standard library only."""
import concurrent.futures
import sys
import time
import traceback

SCENARIOS = []
# The deadlines of calls that must be answered in time are that many times as long: a Java program is slow while it is young.
PATIENCE = {"java": 4}
SLACK_S = 1.5  # what a shared machine may be late, on top of every bound


class Scenario:
    def __init__(self, name, function, long, lacking, alone, together):
        self.name, self.function, self.long, self.lacking, self.alone, self.together = name, function, long, lacking, alone, together


def scenario(name, long=False, lacking=None, alone=False, together=False):
    """`function(driver_factory)`; the factory starts a new driver of the language. `lacking` names languages that do not do this, and why.
    `alone`: nothing else runs beside it. `together`: the function gets a list of factories, one for each language."""
    def add(function):
        SCENARIOS.append(Scenario(name, function, long, lacking or {}, alone, together))
        return function
    return add


def within(begin, bound_s, what):
    took = time.monotonic() - begin
    assert took <= bound_s + SLACK_S, f"{what} took {took:.3f} s; the bound is {bound_s} s"
    return took


def run_one(scenario_, factory):
    """(verdict, seconds, what was wrong)."""
    begin = time.monotonic()
    if factory.language in scenario_.lacking:
        return "-", 0, scenario_.lacking[factory.language]
    try:
        scenario_.function(factory)
    except Exception:  # noqa: BLE001 (whatever it is, it is the scenario's verdict)
        return "FAILED", time.monotonic() - begin, traceback.format_exc()
    return "ok", time.monotonic() - begin, ""


def run_together(scenario_, factories):
    """One run for all languages; what it finds is everybody's."""
    begin = time.monotonic()
    try:
        scenario_.function(factories)
    except Exception:  # noqa: BLE001
        return "FAILED", time.monotonic() - begin, traceback.format_exc()
    return "ok", time.monotonic() - begin, ""


def run_all(factories, wanted, beside):
    """{(scenario, language): (verdict, seconds, text)}; `beside` of them at a time."""
    results = {}
    with concurrent.futures.ThreadPoolExecutor(beside) as pool:
        futures = {pool.submit(run_one, each, factory): (each.name, factory.language) for each in wanted for factory in factories}
        for future in concurrent.futures.as_completed(futures):
            results[futures[future]] = future.result()
    return results


def table(results, names, languages):
    width = max(map(len, names))
    lines = [f"{'scenario':<{width}}  " + "  ".join(f"{language:<10}" for language in languages)]
    for name in names:
        lines.append(f"{name:<{width}}  " + "  ".join(
            f"{results[name, language][0] + (f' {results[name, language][1]:.1f}' if results[name, language][0] != '-' else ''):<10}"
            for language in languages))
    return "\n".join(lines)


def report(results, names, languages, stream=sys.stdout):
    """Prints what failed and the table; the number of failures."""
    failed = [(key, text) for key, (verdict, _, text) in sorted(results.items()) if verdict == "FAILED"]
    for (name, language), text in failed:
        print(f"--- {language}: {name}\n{text}", file=stream)
    print(table(results, names, languages), file=stream)
    for (name, language), (verdict, _, text) in sorted(results.items()):
        if verdict == "-":
            print(f"- {language} does not do \"{name}\": {text}", file=stream)
    return len(failed)
