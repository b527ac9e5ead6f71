#include "tests/support/server_clock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/testing.h"

static char *clock_path(const struct server *server)
{
    return format_text("%s/clock", server->dir);
}

void server_clock_set(int clock, int64_t off_ms)
{
    if (pwrite(clock, &off_ms, sizeof off_ms, 0) != sizeof off_ms)
        die("the server's clock cannot be set");
}

int server_clock_open(const struct server *server)
{
    char *path = clock_path(server);
    int clock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    server_clock_set(clock, 0);
    free(path);
    return clock;
}

void server_clock_load(const struct server *server)
{
    char *here = getcwd(NULL, 0), *path = clock_path(server);
    char *library = format_text("%s/" DF2REDIS_BUILD_DIR "/tests/wrong_clock.so", here);
    setenv("WRONG_CLOCK", path, 1);
    setenv("LD_PRELOAD", library, 1);
    free(library);
    free(path);
    free(here);
}

void server_clock_unload(void)
{
    unsetenv("LD_PRELOAD");
}
