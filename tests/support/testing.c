/* Deadlines, temporary directories, ports, files, numbers. */
#include "tests/support/testing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("test cannot run: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

char *format_text(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    return text;
}

char *temp_dir_make(const char *what)
{
    const char *base = getenv("TMPDIR");
    char *path = format_text("%s/df2redis-%s-XXXXXX", base && *base ? base : "/tmp", what);
    if (!mkdtemp(path))
        die("no temporary directory %s: %s", path, strerror(errno));
    return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st;
    (void)type;
    (void)walk;
    return remove(path);
}

void temp_dir_remove(char *path)
{
    if (!path)
        return;
    if (getenv("DF2REDIS_TEST_KEEP"))
        fprintf(stderr, "kept: %s\n", path);
    else
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}

static struct sockaddr_in local_address(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

/* Bound while it is nobody else's, and without listening: then another socket with SO_REUSEADDR may listen there, as
 * servers do, and the kernel gives the port to nobody who asks for any. */
bool port_keep(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in a = local_address(*port);
    socklen_t len = sizeof a;
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
        getsockname(fd, (struct sockaddr *)&a, &len) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0) {
        *port = ntohs(a.sin_port);
        return true; /* and so it stays */
    }
    if (fd >= 0)
        close(fd);
    return false;
}

int listen_on(uint16_t *port)
{
    if (!*port && !port_keep(port))
        return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in a = local_address(*port);
    socklen_t len = sizeof a;
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 128) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    *port = ntohs(a.sin_port);
    return fd;
}

uint16_t free_port(void)
{
    uint16_t port = 0;
    if (!port_keep(&port))
        die("no free port: %s", strerror(errno));
    return port;
}

bool port_answers(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = local_address(port);
    bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* "sl local rem st tx_queue:rx_queue …", all in hexadecimal; of /proc/net/tcp. */
uint64_t port_unread_bytes(uint16_t port)
{
    enum { ESTABLISHED = 1, CLOSE_WAIT = 8 };
    FILE *f = fopen("/proc/net/tcp", "re");
    char text[256];
    uint64_t bytes = 0;
    while (f && fgets(text, sizeof text, f)) {
        unsigned local, state, unread;
        if (sscanf(text, "%*s %*x:%x %*x:%*x %x %*x:%x", &local, &state, &unread) == 3 && local == port &&
            (state == ESTABLISHED || state == CLOSE_WAIT))
            bytes += unread;
    }
    if (f)
        fclose(f);
    return bytes;
}

bool file_read(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n;
    do {
        n = read(fd, buf_reserve(out, 1 << 20), 1 << 20);
        if (n > 0)
            out->len += (size_t)n;
    } while (n > 0 || (n < 0 && errno == EINTR));
    int saved = errno;
    close(fd);
    errno = saved;
    return n == 0;
}

bool file_write(const char *path, struct slice bytes)
{
    FILE *f = fopen(path, "we");
    if (!f)
        return false;
    bool ok = fwrite(bytes.data, 1, bytes.len, f) == bytes.len;
    return (fclose(f) == 0) && ok;
}

bool file_contains(const char *path, const char *text)
{
    struct buf b = {0};
    bool found = file_read(path, &b) && b.len && memmem(b.data, b.len, text, strlen(text)) != NULL;
    buf_free(&b);
    return found;
}

uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t random_below(struct random *r, uint64_t limit)
{
    return limit ? random_next(r) % limit : 0;
}
