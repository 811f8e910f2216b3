#!/usr/bin/env python3
"""Each sentence of docs/security.md is proven by a test, or is said to be no promise: advice, a definition, what is not promised. Whoever writes a new
sentence there names the test here."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ADVICE = None  # tells people what to do, or what is not promised: nothing to try

SECURITY, CONFINED, RELOAD, SECRETS = (f"tests/security/test_{name}.py" for name in ("security", "confined", "reload", "secrets"))
TOKENS, TLS, QUOTA, SERVER = (f"tests/unit/test_server_{name}.c" for name in ("tokens", "tls", "quota", "unix"))
ADMIN = "tests/admin/http_test.py"

# How a sentence, or a row of a table, begins; and the tests that would fail were it false: "file::name".
PROOFS = {
    "| anybody who reaches the data port": ["tests/system/test_bad_peers.py::test_garbage", "tests/unit/test_server_limits.c::test_connection_limit",
                                            "tests/system/test_overload.py::test_ten_times_the_demand", "tests/unit/test_server.c::test_bad_input",
                                            f"{SECURITY}::test_a_worker_lives_under_it", f"{TOKENS}::test_auth"],
    "| who may write to the file of `listen.unix_path`": [f"{SERVER}::test_limits_are_of_the_user", f"{SERVER}::test_mode_without_umask",
                                                      "tests/system/test_unix_socket.py::test_the_mode_says_who_may"],
    "| who listens on the network": [f"{TLS}::test_tls", f"{SECURITY}::test_who_is_let_in"],
    "| anybody who reaches the admin port": [f"{SECURITY}::test_drain_from_outside_needs_a_token", f"{SECURITY}::test_token_and_tls",
                                             "tests/system/test_http_ids.py::test_a_name_and_its_limit"],
    "| who writes to the coordinator": ADVICE,
    "| who controls the worker's clock": ["tests/system/test_clock_worker.py::test_steps_under_load", "tests/system/test_leap.py::test_stepped_all_at_once",
                                          "tests/system/test_worker.py::test_clock_set_back_an_hour_across_a_restart"],
    "| code running inside a worker": [f"{CONFINED}::test_what_the_filter_refuses", f"{CONFINED}::test_which_files_are_out_of_reach",
                                       f"{CONFINED}::test_what_ends_the_process"],
    "Promised: uniqueness": ["tests/system/test_bad_peers.py::test_garbage", f"{TOKENS}::test_auth", f"{SECRETS}::test_a_worker_that_serves",
                             f"{SECRETS}::test_one_that_has_a_token", f"{SECURITY}::test_a_storm_of_handshakes_keeps_nobody_out"],
    "Not promised: ": ADVICE,
    "**IDs can be guessed.**": ["tests/system/test_worker.py::test_ids_ascend_and_decode"],
    "Who sees some IDs": ADVICE,
    "So an ID is no secret": ADVICE,
    "Check rights where": ADVICE,
    "Report a suspected weakness": ADVICE,
    "Do not open a public issue": ADVICE,
    "The latest release gets fixes": ADVICE,
    "`listen.token_file` and `admin.token_file` hold": ["tests/unit/test_base_tokens.c::test_who_a_token_is"],
    "A name has 1 to 63": ["tests/unit/test_base_tokens.c::test_what_is_refused", f"{TOKENS}::test_names"],
    "`openssl rand": ADVICE,
    "`ids_per_s` limits": [f"{TOKENS}::test_names", f"{QUOTA}::test_reconnecting_brings_nothing"],
    "Metrics count by name": [f"{TOKENS}::test_names", f"{SECRETS}::test_a_worker_that_serves"],
    "Without a token a connection": [f"{TOKENS}::test_auth"],
    "Over HTTP each request shows": ["tests/system/test_http_ids.py::test_a_name_and_its_limit"],
    "Bearer TOKEN`)": ["tests/system/test_http_ids.py::test_a_name_and_its_limit", "tests/system/test_http_ids.py::test_guesses_of_an_address_are_few"],
    "Unknown tokens are counted": [f"{TOKENS}::test_guesses", "tests/unit/test_server_http.c::test_guesses"],
    "Over that AUTH is answered": [f"{TOKENS}::test_guesses"],
    "The console ([http.md](http.md)) asks": ["tests/admin/console_tokens.mjs::asks for the token"],
    "A request that comes under a name": [f"{ADMIN}::test_names", "tests/unit/test_server_http.c::test_names"],
    "Token files are read again": [f"{TOKENS}::test_names", "tests/unit/test_base_tokens.c::test_a_newer_file", f"{RELOAD}::test_a_swapped_secret_is_used_by_itself"],
    "To change a token": ADVICE,
    "Files with secrets": ["tests/unit/test_base_secret.c::test_who_may_read", "tests/system/test_check_config.py::test_both_refuse_alike"],
    "Secrets are never taken": [f"{SECRETS}::test_not_as_a_flag_or_a_variable"],
    "A CA, a worker's certificate": [f"{SECURITY}::test_strict_clients_accept_the_documented_certificates"],
    "`listen.tls_cert worker.pem`": [f"{SECURITY}::test_who_is_let_in"],
    "Put every name": ADVICE,
    "After renewing, replace": [f"{RELOAD}::test_a_swapped_secret_is_used_by_itself"],
    "That holds for every file": [f"{RELOAD}::test_a_swapped_secret_is_used_by_itself", f"{RELOAD}::test_a_new_authority_of_the_coordinator",
                                  f"{RELOAD}::test_all_that_we_show_is_swapped", "tests/system/test_zookeeper_tls.py::test_what_is_swapped_is_shown",
                                  f"{RELOAD}::test_a_new_password_of_the_coordinator",
                                  "tests/contract/zookeeper_traps.py::test_a_password_that_changes"],
    "Files that do not fit": [f"{RELOAD}::test_what_cannot_be_used_is_not_used"],
    "When each certificate ends": [f"{RELOAD}::test_a_swapped_secret_is_used_by_itself", "tests/dash/dash_test.py::test_alerts_fire_and_stay_quiet"],
    "SIGHUP, `POST /reload`": [f"{RELOAD}::test_reload_tells_what_was_and_was_not_taken"],
    "TLS is 1.2 or later": [f"{TLS}::test_tls", f"{TLS}::test_no_tickets", f"{SECURITY}::test_old_ciphers_are_refused", f"{SECURITY}::test_renegotiation_is_refused",
                            f"{SECRETS}::test_who_takes_an_old_one", "tests/system/test_zookeeper_tls.py::test_old_ciphers_are_refused", "tests/client/test_tls.py::test_versions"],
    "A certificate that is refused": [f"{SECURITY}::test_an_expired_client_is_told_so"],
    "Handshakes are bounded": [f"{SECURITY}::test_a_thousand_half_open_handshakes", f"{TLS}::test_half_open_handshakes", f"{TLS}::test_one_address_has_its_share"],
    "Silent connections keep nobody out": [f"{SECURITY}::test_a_storm_of_handshakes_keeps_nobody_out", f"{TLS}::test_half_open_ones_give_way"],
    "- **Any user.**": [f"{CONFINED}::test_nobody_without_capabilities"],
    "A read-only root file system": ["tests/pods/test_image.py::test_3_gives_ids_without_any_right"],
    "As root a worker is started too": [f"{CONFINED}::test_every_thread_has_given_up_its_capabilities"],
    "- **System calls.**": [f"{CONFINED}::test_what_the_filter_refuses", f"{CONFINED}::test_what_a_worker_needs", f"{SECURITY}::test_a_worker_lives_under_it"],
    "The log says which it is": [f"{CONFINED}::test_it_says_what_it_gave_up", f"{CONFINED}::test_without_it"],
    "- **Files.** Where the kernel": [f"{CONFINED}::test_which_files_are_out_of_reach", f"{CONFINED}::test_another_directory_in_the_place_of_its_own"],
    "What is not there yet": [f"{CONFINED}::test_a_directory_that_is_not_there_yet"],
    "Sockets can be made": [f"{CONFINED}::test_which_files_are_out_of_reach", "tests/system/test_clock_chronyd.py::test_offset_and_sign_by_both_kinds"],
    "The log says whether it is so": [f"{CONFINED}::test_it_says_what_it_gave_up"],
    "- **Core files.**": [f"{SECRETS}::test_one_that_has_a_token", f"{SECRETS}::test_one_that_has_none"],
    "Code that gets to run inside": [f"{CONFINED}::test_what_the_filter_refuses"],
    "| start a program": [f"{CONFINED}::test_what_ends_the_process"],
    "| signal another": [f"{CONFINED}::test_what_the_filter_refuses"],
    "| make code": [f"{CONFINED}::test_what_the_filter_refuses"],
    "| make its memory visible": [f"{CONFINED}::test_what_the_filter_refuses"],
    "| open a raw": [f"{CONFINED}::test_what_the_filter_refuses"],
    "| create a file with the setuid": [f"{CONFINED}::test_what_the_filter_refuses"],
    "| mount, make namespaces": [f"{CONFINED}::test_what_the_filter_refuses"],
    "| read or write another process's memory": [f"{CONFINED}::test_which_files_are_out_of_reach"],
    "| change its own code": [f"{CONFINED}::test_which_files_are_out_of_reach"],
    "| make, change or remove a file": [f"{CONFINED}::test_which_files_are_out_of_reach"],
    "It **can**: mint": [f"{CONFINED}::test_what_a_worker_needs"],
    "Without Landlock it can also": [f"{CONFINED}::test_what_is_left_without_landlock", f"{CONFINED}::test_injection_opens_memory_only"],
    "Tests try each of these": ["tests/security/test_sentences.py::test_each_has_its_test"],
    "**Chaos tests.**": [f"{CONFINED}::test_injection_is_refused"],
    "`security.allow_injection` allows": [f"{CONFINED}::test_injection_on_purpose", f"{CONFINED}::test_injection_opens_memory_only"],
    "Never where IDs matter": ADVICE,
    "- **Log.**": [f"{SECURITY}::test_a_worker_lives_under_it", "tests/unit/test_base_log.c::escapes"],
    "- **Materials.**": ["tests/pods/test_image.py::test_2_holds_nothing_but_the_programs_and_what_they_load"],
}


def sentences(text):
    """Rows of tables and sentences of paragraphs, without examples and heads."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", text, flags=re.S)
    for block in re.split(r"\n\s*\n|\n(?=- |\| |#)", text):
        block = " ".join(block.split())
        if not block or block.startswith("#") or re.match(r"[-| ]*$|\| (who|what) \|", block):
            continue
        yield from [block] if block.startswith("|") else re.split(r"(?<=[.:])\s+(?=[A-Z*`])", block)


class Sentences(unittest.TestCase):
    def test_each_has_its_test(self):
        said = list(sentences((ROOT / "docs/security.md").read_text(encoding="utf-8")))
        self.assertGreater(len(said), 60)
        for sentence in said:
            self.assertEqual(sum(sentence.startswith(begin) for begin in PROOFS), 1, f"name the test of this sentence in PROOFS, once: {sentence}")
        for begin in PROOFS:
            self.assertTrue(any(sentence.startswith(begin) for sentence in said), f"docs/security.md has no sentence that begins so any more: {begin}")

    def test_those_tests_are_there(self):
        for begin, proofs in PROOFS.items():
            for proof in proofs or []:
                file, name = proof.split("::")
                text = (ROOT / file).read_text(encoding="utf-8")
                word = re.escape(name) if " " in name or file.endswith(".mjs") else rf"(def|void) {re.escape(name)}\("
                self.assertTrue(re.search(word, text), f"{file} has no {name}, which is to prove: {begin}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
