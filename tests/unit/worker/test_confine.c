/* What a confined worker still can do, and what not. Each test confines a child of its own: it is for good.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/landlock.h"
#include "worker/confine.h"

static char directory[64], other[64];
static struct settings s;

static int setup(void **state)
{
    (void)state;
    settings_init(&s);
    snprintf(directory, sizeof directory, "/tmp/df2redis-confine-XXXXXX");
    snprintf(other, sizeof other, "/tmp/df2redis-outside-XXXXXX");
    return mkdtemp(directory) && mkdtemp(other) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[200];
    (void)state;
    settings_free(&s);
    snprintf(command, sizeof command, "rm -r %s %s", directory, other);
    return system(command);
}

/* In a confined child: 0 when what it tries works as it should. */
static int in_a_child(int (*try)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct error error = {0};
        if (!confine_worker(&s, directory, &error)) {
            fprintf(stderr, "%s\n", error.text);
            _exit(100);
        }
        _exit(try());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void skip_without_landlock(void)
{
    if (!landlock_version()) {
        print_message("skip: this kernel has no Landlock\n");
        skip();
    }
}

/* The spool's ways: make, write, grow, cut, rename, remove. */
static int use_state_directory(void)
{
    char a[96], b[96];
    snprintf(a, sizeof a, "%s/a", directory);
    snprintf(b, sizeof b, "%s/b", directory);
    int fd = open(a, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, 8192) != 0 || ftruncate(fd, 4096) != 0 || write(fd, "x", 1) != 1)
        return 1;
    if (rename(a, b) != 0 || close(fd) != 0 || (fd = open(b, O_RDWR | O_TRUNC)) < 0)
        return 2;
    return unlink(b) == 0 ? 0 : 3;
}

static int look_up_names(void)
{
    struct addrinfo *found, hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    if (getaddrinfo("localhost", "6379", &hints, &found) != 0)
        return 1;
    freeaddrinfo(found);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
    return fd >= 0 ? 0 : 2;
}

static int connect_somewhere(void)
{
    struct addrinfo *found, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    if (getaddrinfo("127.0.0.1", "1", &hints, &found) != 0)
        return 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, found->ai_addr, found->ai_addrlen) != 0 && errno != ECONNREFUSED)
        return 2;
    freeaddrinfo(found);
    return 0;
}

static int use_other_files(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/a", other);
    if (open(path, O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES)
        return 1;
    if (open("/proc/self/environ", O_RDONLY) >= 0 || errno != EACCES)
        return 2;
    if (open("/etc/passwd", O_WRONLY) >= 0)
        return 3;
    snprintf(path, sizeof path, "%s/directory", directory);
    if (mkdir(path, 0700) == 0)
        return 4;
    return 0;
}

static int run_programs(void)
{
    char *const argv[] = {"true", NULL};
    execv("/bin/true", argv);
    return errno == EPERM || errno == EACCES ? 0 : 1;
}

static int serve_others(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return listen(fd, 1) != 0 && errno == EPERM ? 0 : 1;
}

static int end_others(void)
{
    return kill(getppid(), 0) != 0 && errno == EPERM ? 0 : 1;
}

static void state_directory_can_be_used(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(use_state_directory), 0);
}

static void names_can_be_looked_up(void **state)
{
    (void)state;
    if (look_up_names() != 0) {
        print_message("localhost is not known here, as without /etc/hosts: skipped\n");
        skip();
    }
    assert_int_equal(in_a_child(look_up_names), 0);
}

static void targets_can_be_connected_to(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(connect_somewhere), 0);
}

static void other_files_are_out_of_reach(void **state)
{
    (void)state;
    skip_without_landlock();
    assert_int_equal(in_a_child(use_other_files), 0);
}

/* TLS files may lie anywhere. */
static char named_file[96];

static int read_named_file(void)
{
    return open(named_file, O_RDONLY) >= 0 && open(named_file, O_WRONLY) < 0 ? 0 : 1;
}

static void files_that_settings_name_can_be_read(void **state)
{
    (void)state;
    skip_without_landlock();
    snprintf(named_file, sizeof named_file, "%s/ca.pem", other);
    int fd = open(named_file, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(in_a_child(read_named_file), 1);
    assert_true(settings_set(&s, "tls-ca", named_file, NULL));
    assert_int_equal(in_a_child(read_named_file), 0);
}

static void programs_cannot_be_run(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(run_programs), 0);
}

static void nobody_can_be_served(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(serve_others), 0);
}

static void other_processes_cannot_be_signalled(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(end_others), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(state_directory_can_be_used),
        TEST(names_can_be_looked_up),
        TEST(targets_can_be_connected_to),
        TEST(other_files_are_out_of_reach),
        TEST(files_that_settings_name_can_be_read),
        TEST(programs_cannot_be_run),
        TEST(nobody_can_be_served),
        TEST(other_processes_cannot_be_signalled),
    };
#if defined(__SANITIZE_ADDRESS__)
    print_message("skip: a build with AddressSanitizer is not confined\n");
    return 0;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    print_message("skip: a build with AddressSanitizer is not confined\n");
    return 0;
#endif
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
