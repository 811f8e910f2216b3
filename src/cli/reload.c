/* cli/reload.c - `snowfleet reload`: has a worker read its options, certificates and tokens again. */
#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/worker.h"

static size_t print_names(const char *what, const json_t *names)
{
    const size_t count = json_array_size(names);
    for (size_t i = 0; i < count; i++)
        (void)printf("%s%s%s", i == 0 ? what : "", i == 0 ? " " : ", ",
                     json_string_value(json_array_get(names, i)));
    if (count > 0)
        (void)printf("\n");
    return count;
}

static int show(const struct sf_cli_admin *admin, const char *body, bool as_json)
{
    json_error_t error;
    json_t *answer = json_loads(body, 0, &error);
    if (answer == NULL)
        return sf_cli_fail(SF_CLI_FAILED, "%s/reload: the answer is no JSON: %s", admin->url,
                           error.text);
    const size_t restart = json_array_size(json_object_get(answer, "needs_restart"));
    if (as_json) {
        sf_cli_print_json(answer);
    } else {
        (void)printf("certificates, tokens and limits were read again\n");
        if (print_names("changed options:", json_object_get(answer, "changed")) == 0)
            (void)printf("no option changed that takes effect at once\n");
        (void)print_names("need a restart:", json_object_get(answer, "needs_restart"));
        json_decref(answer);
    }
    const int code = sf_cli_end();
    return code == 0 && restart > 0 ? SF_CLI_FAILED : code;
}

int sf_cli_reload(int argc, char **argv)
{
    struct sf_cli_admin admin = {.url = SF_CLI_DEFAULT_ADMIN};
    bool as_json = false;
    const struct sf_cli_option options[] = {
        {"admin", 0, SF_CLI_TEXT, &admin.url, "URL",
         "the worker's admin.address [http://127.0.0.1:7451]", 0, 0},
        {"json", 0, SF_CLI_FLAG, &as_json, NULL, "a JSON object", 0, 0},
        SF_CLI_ADMIN_OPTIONS(admin),
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet reload [--admin URL] [--token-file FILE] [--json]",
        .text = "Has a worker read its options, certificates and tokens again, as SIGHUP does. "
                "Exit code 1: what it\n"
                "was given cannot be used and the old stays, or an option changed that needs a "
                "restart.\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    const int code = sf_cli_parse(&usage, argc, argv, NULL);
    if (code >= 0)
        return code;
    struct sf_cli_answer answer = {0};
    const int refused = sf_cli_order(&admin, "/reload", 10000, &answer);
    if (refused >= 0)
        return refused;
    const int result = show(&admin, answer.body, as_json);
    sf_cli_answer_free(&answer);
    return result;
}
