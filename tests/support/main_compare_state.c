/* compare_state: two servers, or a recorded state and a server, key by key; by hand and in demonstrations.
 *
 *   compare_state PORT PORT        the second against the first
 *   compare_state RECORDING PORT   with the keys excepted that the recording's own journal has lost
 * Ends with 0 when nothing differs, 1 when something does, 64 for wrong usage. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "tests/support/recorded_losses.h"
#include "tests/support/testing.h"

static bool compare_recording(const char *dir, struct state_server *server, struct state_rules *rules,
                              struct state_report *report)
{
    struct recording recording;
    recording_load(&recording, dir);
    rules->exception_count = recorded_losses(&recording, &rules->exceptions);
    char *path = format_text("%s/state.jsonl.zst", dir);
    bool equal = state_compare_file(path, server, rules, report);
    free(path);
    free(rules->exceptions);
    recording_free(&recording);
    return equal;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("compare_state PORT|RECORDING PORT\n", stderr);
        return EX_USAGE;
    }
    struct state_server expected = {0}, actual;
    struct state_rules rules = {0};
    struct state_report report;
    bool equal;
    unsigned long port = strtoul(argv[1], NULL, 10);
    state_open(&actual, (uint16_t)strtoul(argv[2], NULL, 10), NULL);
    if (port) {
        rules.read.stream_details = rules.read.field_ttls = true;
        rules.field_ttl_tolerance_ms = 2000;
        state_open(&expected, (uint16_t)port, NULL);
        equal = state_compare_servers(&expected, &actual, &rules, &report);
        state_close(&expected);
    } else {
        equal = compare_recording(argv[1], &actual, &rules, &report);
    }
    printf("%s%llu keys, %llu different, %llu excepted, %llu of types the target cannot hold, %llu expired\n",
           (const char *)report.text.data, (unsigned long long)report.keys,
           (unsigned long long)report.different, (unsigned long long)report.excepted,
           (unsigned long long)report.unportable, (unsigned long long)report.expired);
    state_report_free(&report);
    state_close(&actual);
    return equal ? EX_OK : 1;
}
