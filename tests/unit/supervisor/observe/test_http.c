/* HTTP: the five paths, as a monitor asks for them; the metrics, as Prometheus reads them. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/ipc/cursor.h"
#include "common/log/log.h"
#include "common/base/version.h"
#include "supervisor/observe/http.h"

static struct event_base *base;
static struct http *server;
static struct error error;
static bool in_step;
static struct settings settings;
static char answer[262144];

/* As status_document.c writes it, shortened. */
static const char document[] =
    "{\"name\":\"blue\",\"phase\":\"stable\",\"sessions\":2,\"flows\":["
    "{\"id\":0,\"pid\":%ld,\"phase\":\"stable\",\"received_bytes\":3145728,\"applied_bytes\":3145000,"
    "\"entries\":10,\"keys\":4,\"commands\":9,\"lsn_received\":8,\"lsn_applied\":7,\"lsn_acknowledged\":6,"
    "\"lsn_source\":12,\"lag_source\":5,"
    "\"lag_entries\":1,\"lag_bytes\":728,\"lag_ms\":1500,\"spool_bytes\":728,\"restarts\":1,\"idle_ms\":20,"
    "\"batches\":4,\"batch_us_total\":2500,\"batch_histogram\":[1,2,0,0,0,0,0,0,0,0,0,1],\"target_waits\":3,"
    "\"errors\":5},{\"id\":1,\"pid\":0,\"phase\":\"starting\"}],"
    "\"divergences\":{\"type_not_in_target\":12},\"divergence_examples\":[],\"degraded\":false,"
    "\"source_rtt_us\":1500,\"targets\":[{\"address\":\"10.0.0.1:7000\",\"rtt_us\":2500,\"evicted_keys\":34,"
    "\"used_memory_bytes\":56,\"maxmemory_bytes\":78,\"evicts\":true},{\"address\":\"10.0.0.2:7000\"}],\"in_"
    "step\":%"
    "s}";

static cJSON *give_status(void *arg)
{
    char text[2000];
    (void)arg;
    snprintf(text, sizeof text, document, (long)getpid(),
             in_step ? "true" : "false,\"in_step_reason\":\"FLOW 1 is 3 entries behind\"");
    return cJSON_Parse(text);
}

static int setup(void **state)
{
    (void)state;
    struct http_callbacks callbacks = {.status = give_status};
    in_step = true;
    base = event_base_new();
    settings_init(&settings);
    if (!settings_set(&settings, "metrics", "0", &error) ||
        !settings_set(&settings, "metrics-host", "*.example", &error))
        return -1;
    server = http_open(base, &settings, &callbacks, &error);
    return server ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    http_close(server);
    event_base_free(base);
    settings_free(&settings);
    return 0;
}

static int connect_here(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *colon = strrchr(http_listens_on(server), ':');
    address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* The answer whole, up to the end of the connection. The server runs in this process. */
static void ask(const char *text)
{
    int fd = connect_here();
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    size_t got = 0;
    uint64_t deadline_ms = clock_monotonic_ms() + 120000;
    for (;;) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        event_base_loop(base, EVLOOP_NONBLOCK);
        ssize_t n = recv(fd, answer + got, sizeof answer - 1 - got, MSG_DONTWAIT);
        if (n == 0)
            break;
        got += n > 0 ? (size_t)n : 0;
    }
    answer[got] = '\0';
    close(fd);
}

static void request(const char *method, const char *path)
{
    char text[200];
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method,
             path);
    ask(text);
}

static const char *body_of(const char *path)
{
    request("GET", path);
    if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0)
        fail_msg("%s: %.100s", path, answer);
    const char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    return body + 4;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
}

static void health_is_told_always_readiness_only_in_step(void **state)
{
    (void)state;
    assert_string_equal(body_of("/healthz"), "alive\n");
    assert_string_equal(body_of("/readyz"), "in step\n");
    in_step = false;
    assert_string_equal(body_of("/healthz"), "alive\n");
    request("GET", "/readyz");
    assert_true(strncmp(answer, "HTTP/1.1 503 ", 13) == 0);
    assert_has(answer, "not in step: FLOW 1 is 3 entries behind\n");
}

static void status_is_the_document(void **state)
{
    (void)state;
    cJSON *json = cJSON_Parse(body_of("/status.json"));
    assert_non_null(json);
    assert_has(answer, "Content-Type: application/json\r\n");
    assert_string_equal(cJSON_GetObjectItem(json, "name")->valuestring, "blue");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "flows")), 2);
    cJSON_Delete(json);
}

static void unknown_path_and_other_methods_are_refused(void **state)
{
    (void)state;
    request("GET", "/etc/passwd");
    assert_true(strncmp(answer, "HTTP/1.1 404 ", 13) == 0);
    request("POST", "/status.json");
    assert_true(strncmp(answer, "HTTP/1.1 501 ", 13) == 0 || strncmp(answer, "HTTP/1.1 405 ", 13) == 0);
    request("HEAD", "/healthz");
    assert_true(strncmp(answer, "HTTP/1.1 200 ", 13) == 0);
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    assert_has(answer, "Content-Length: 6\r\n");
}

/* Nothing is loaded from elsewhere, so that it works in a closed network and tells nobody. */
static void page_has_no_external_resource(void **state)
{
    (void)state;
    const char *page = body_of("/");
    assert_has(answer, "Content-Security-Policy: default-src 'none'");
    assert_has(page, "fetch('status.json'");
    assert_has(page, "</html>");
    assert_null(strstr(page, "http://"));
    assert_null(strstr(page, "https://"));
    assert_null(strstr(page, "src="));
    assert_null(strstr(page, "@import"));
    assert_null(strstr(page, "innerHTML"));
}

static void metrics_have_base_units_and_labels(void **state)
{
    (void)state;
    const char *text = body_of("/metrics");
    assert_has(answer, "Content-Type: text/plain; version=0.0.4");
    assert_has(text, "\ndf2redis_build_info{version=\"" DF2REDIS_VERSION "\"} 1\n");
    assert_has(text, "\ndf2redis_in_step 1\n");
    assert_has(text, "\ndf2redis_phase{phase=\"stable\"} 1\n");
    assert_has(text, "\ndf2redis_phase{phase=\"draining\"} 0\n");
    assert_has(text, "\ndf2redis_sessions_total 2\n");
    assert_has(text, "\ndf2redis_divergences_total{reason=\"type_not_in_target\"} 12\n");
    assert_has(text, "\n# TYPE df2redis_flow_received_bytes_total counter\n");
    assert_has(text, "\ndf2redis_flow_received_bytes_total{flow=\"0\"} 3145728\n");
    assert_has(text, "\ndf2redis_flow_received_bytes_total{flow=\"1\"} 0\n");
    assert_has(text, "\ndf2redis_flow_lag_seconds{flow=\"0\"} 1.5\n");
    assert_has(text, "\ndf2redis_flow_applied_lsn{flow=\"0\"} 7\n");
    assert_has(text, "\ndf2redis_flow_restarts_total{flow=\"0\"} 1\n");
    assert_has(text, "\ndf2redis_flow_worker_resident_memory_bytes{flow=\"0\"} ");
    assert_has(text, "\nprocess_open_fds ");
    const char *start = strstr(text, "\nprocess_start_time_seconds ");
    assert_non_null(start);
    double started = strtod(start + strlen("\nprocess_start_time_seconds "), NULL),
           now = (double)clock_unix_ms() / 1000;
    assert_true(started < now + 1 && started > now - 3600);
    assert_has(text, "\nprocess_resident_memory_bytes ");
}

static void metrics_tell_the_source_and_each_target_that_has_answered(void **state)
{
    (void)state;
    const char *text = body_of("/metrics");
    assert_has(text, "\ndf2redis_source_round_trip_seconds 0.0015\n");
    assert_has(text, "\ndf2redis_flow_source_lsn{flow=\"0\"} 12\n");
    assert_has(text, "\ndf2redis_flow_source_lag_entries{flow=\"0\"} 5\n");
    assert_has(text, "\ndf2redis_flow_received_lsn{flow=\"0\"} 8\n");
    assert_has(text, "\ndf2redis_flow_acknowledged_lsn{flow=\"0\"} 6\n");
    assert_has(text, "\ndf2redis_flow_source_lsn{flow=\"1\"} 0\n");
    assert_has(text, "\ndf2redis_target_round_trip_seconds{target=\"10.0.0.1:7000\"} 0.0025\n");
    assert_has(text, "\ndf2redis_target_evicted_keys_total{target=\"10.0.0.1:7000\"} 34\n");
    assert_has(text, "\ndf2redis_target_used_memory_bytes{target=\"10.0.0.1:7000\"} 56\n");
    assert_has(text, "\ndf2redis_target_maxmemory_bytes{target=\"10.0.0.1:7000\"} 78\n");
    assert_has(text, "\ndf2redis_target_evicts{target=\"10.0.0.1:7000\"} 1\n");
    assert_null(strstr(text, "10.0.0.2"));
}

static void batch_histogram_adds_up(void **state)
{
    (void)state;
    const char *text = body_of("/metrics");
    assert_has(text, "_seconds_bucket{flow=\"0\",le=\"0.00025\"} 1\n");
    assert_has(text, "_seconds_bucket{flow=\"0\",le=\"0.0005\"} 3\n");
    assert_has(text, "_seconds_bucket{flow=\"0\",le=\"1\"} 3\n");
    assert_has(text, "_seconds_bucket{flow=\"0\",le=\"+Inf\"} 4\n");
    assert_has(text, "_seconds_sum{flow=\"0\"} 0.0025\n");
    assert_has(text, "_seconds_count{flow=\"0\"} 4\n");
}

static void batches_fall_into_the_bucket_that_bounds_them(void **state)
{
    (void)state;
    struct cursor_marks marks = {0};
    cursor_count_batch(&marks, 0);
    cursor_count_batch(&marks, 250);
    cursor_count_batch(&marks, 251);
    cursor_count_batch(&marks, 1000000);
    cursor_count_batch(&marks, 1000001);
    assert_int_equal(cursor_get(&marks.batch_buckets[0]), 2);
    assert_int_equal(cursor_get(&marks.batch_buckets[1]), 1);
    assert_int_equal(cursor_get(&marks.batch_buckets[CURSOR_BATCH_BUCKETS - 2]), 1);
    assert_int_equal(cursor_get(&marks.batch_buckets[CURSOR_BATCH_BUCKETS - 1]), 1);
    assert_int_equal(cursor_get(&marks.batches), 5);
    assert_int_equal(cursor_get(&marks.batch_micros), 2000000 + 502);
}

/* Every sample stands below its own HELP and TYPE, and has a number. */
static void metrics_are_well_formed(void **state)
{
    (void)state;
    char name[100] = "none";
    for (const char *line = body_of("/metrics"); *line;) {
        size_t len = strcspn(line, "\n");
        assert_int_equal(line[len], '\n');
        if (strncmp(line, "# HELP ", 7) == 0) {
            snprintf(name, sizeof name, "%.*s", (int)strcspn(line + 7, " "), line + 7);
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_memory_equal(line + 7, name, strlen(name));
        } else {
            assert_memory_equal(line, name, strlen(name));
            const char *value = memrchr(line, ' ', len);
            assert_non_null(value);
            assert_true(isdigit((unsigned char)value[1]));
        }
        line += len + 1;
    }
}

static void promtool_has_no_complaint(void **state)
{
    (void)state;
    const char *named = getenv("DF2REDIS_TEST_PROMTOOL"), *program = named && *named ? named : "promtool";
    char command[300];
    snprintf(command, sizeof command, "command -v %s >/dev/null", program);
    if (system(command) != 0) {
        print_message("skip: promtool is not installed (package prometheus)\n");
        skip();
    }
    snprintf(command, sizeof command, "%s check metrics >&2", program);
    const char *text = body_of("/metrics");
    FILE *out = popen(command, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, strlen(text), out), strlen(text));
    assert_int_equal(pclose(out), 0);
}

static void port_in_use_is_told(void **state)
{
    (void)state;
    struct http_callbacks callbacks = {.status = give_status};
    assert_true(settings_set(&settings, "metrics", http_listens_on(server), &error));
    assert_null(http_open(base, &settings, &callbacks, &error));
    assert_has(error.text, "cannot listen on 127.0.0.1 port ");
    assert_int_equal(error.exit_code, EX_UNAVAILABLE);
}

/* ---- who asks ---- */

static int code_for_host(const char *host)
{
    char text[400];
    snprintf(text, sizeof text, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", host);
    ask(text);
    assert_memory_equal(answer, "HTTP/1.1 ", 9);
    return (int)strtol(answer + 9, NULL, 10);
}

/* DNS rebinding: a page of evil.test, whose name leads to 127.0.0.1 by now, may read what we answer. */
static void other_sites_name_is_refused(void **state)
{
    (void)state;
    char own[256] = "";
    assert_int_equal(gethostname(own, sizeof own - 1), 0);
    assert_int_equal(code_for_host("evil.test"), 403);
    assert_has(answer, "--metrics-host");
    assert_int_equal(code_for_host("evil.test:9121"), 403);
    assert_int_equal(code_for_host("localhost.evil.test"), 403);
    assert_int_equal(code_for_host("127.0.0.1.evil.test"), 403);
    assert_int_equal(code_for_host("[evil]"), 403);
    assert_int_equal(code_for_host("127.0.0.1:9121"), 200);
    assert_int_equal(code_for_host("10.1.2.3"), 200);
    assert_int_equal(code_for_host("[::1]:9121"), 200);
    assert_int_equal(code_for_host("LocalHost:80"), 200);
    assert_int_equal(code_for_host(own), 200);
    assert_int_equal(code_for_host("Metrics.Example:9121"), 200);
    ask("GET http://evil.test/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_memory_equal(answer, "HTTP/1.1 403 ", 13);
    ask("GET /healthz HTTP/1.1\r\nHost: localhost\r\nhost: evil.test\r\n\r\n");
    assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
}

static void request_is_understood_in_all_its_forms(void **state)
{
    (void)state;
    ask("GET /healthz HTTP/1.0\r\n\r\n");
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
    ask("GET /healthz?x=1 HTTP/1.1\nHost: localhost\n\n");
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
    ask("GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
    ask("GET /healthz HTTP/1.1\r\n\r\n");
    assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
    ask("nonsense\r\n\r\n");
    assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
    ask("POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc");
    assert_memory_equal(answer, "HTTP/1.1 405 ", 13);
    assert_has(answer, "\r\nAllow: GET, HEAD\r\n");
    char *text = x_calloc(1, 40000);
    memset(text, 'x', 20000);
    ask(text);
    assert_true(*answer == '\0' || memcmp(answer, "HTTP/1.1 431 ", 13) == 0);
    free(text);
}

static void turn(uint32_t ms)
{
    struct timeval t = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    event_base_loopexit(base, &t);
    event_base_loop(base, 0);
}

/* A few hundred that say nothing, and that never end their request. */
static void many_silent_connections_lock_nobody_out(void **state)
{
    (void)state;
    enum { SILENT = 300 };
    int silent[SILENT];
    for (int i = 0; i < SILENT; i++) {
        silent[i] = connect_here();
        assert_int_equal(send(silent[i], "GET", 3, MSG_NOSIGNAL), 3);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    assert_string_equal(body_of("/healthz"), "alive\n");
    unsigned open_ones = 0;
    for (int i = 0; i < SILENT; i++) {
        char byte;
        open_ones += recv(silent[i], &byte, 1, MSG_DONTWAIT) < 0;
        close(silent[i]);
    }
    assert_in_range(open_ones, 1, 64);
}

static unsigned lines_logged;

static void count_line(struct slice line)
{
    (void)line;
    lines_logged++;
}

/* accept() has no descriptor to give: it is not asked again and again. */
static void want_of_descriptors_rests_the_listener_and_says_so_once(void **state)
{
    (void)state;
    struct rlimit before, limit;
    int one = connect_here(), last = open("/dev/null", O_RDONLY);
    lines_logged = 0;
    log_set_sink(count_line);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)last + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rusage begun, ended;
    getrusage(RUSAGE_SELF, &begun);
    turn(600);
    getrusage(RUSAGE_SELF, &ended);
    setrlimit(RLIMIT_NOFILE, &before);
    log_set_sink(NULL);
    assert_int_equal(lines_logged, 1);
    assert_true((ended.ru_utime.tv_sec - begun.ru_utime.tv_sec) * 1000000 + ended.ru_utime.tv_usec -
                    begun.ru_utime.tv_usec <
                300000);
    close(last);
    assert_int_equal(send(one, "GET /healthz HTTP/1.0\r\n\r\n", 25, MSG_NOSIGNAL), 25);
    uint64_t deadline_ms = clock_monotonic_ms() + 120000;
    while (recv(one, answer, sizeof answer, MSG_DONTWAIT) < 0) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        turn(20);
    }
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
    close(one);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(health_is_told_always_readiness_only_in_step),
        TEST(status_is_the_document),
        TEST(unknown_path_and_other_methods_are_refused),
        TEST(page_has_no_external_resource),
        TEST(metrics_have_base_units_and_labels),
        TEST(metrics_tell_the_source_and_each_target_that_has_answered),
        TEST(batch_histogram_adds_up),
        TEST(batches_fall_into_the_bucket_that_bounds_them),
        TEST(metrics_are_well_formed),
        TEST(promtool_has_no_complaint),
        TEST(other_sites_name_is_refused),
        TEST(request_is_understood_in_all_its_forms),
        TEST(many_silent_connections_lock_nobody_out),
        TEST(want_of_descriptors_rests_the_listener_and_says_so_once),
        TEST(port_in_use_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
