/* HTTP as a monitor speaks it, and one sample of what it is told. */
#include "tests/support/monitor.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/testing.h"

enum { PART_BYTES = 16384, ANSWER_S = 60 };

static uint16_t port_of(const struct df2redis *d)
{
    static const char before[] = "http://127.0.0.1:";
    char *output = process_output(&d->process);
    const char *at = strstr(output, before);
    uint16_t port = at ? (uint16_t)strtoul(at + strlen(before), NULL, 10) : 0;
    free(output);
    return port;
}

unsigned monitor_ask(const struct df2redis *d, const char *path, struct buf *answer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = ANSWER_S};
    char part[PART_BYTES];
    ssize_t n;
    address.sin_port = htons(port_of(d));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char *text = format_text("GET %s HTTP/1.0\r\n\r\n", path);
    buf_clear(answer);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text))
        while ((n = recv(fd, part, sizeof part, 0)) > 0)
            buf_put(answer, part, (size_t)n);
    free(text);
    close(fd);
    buf_put_u8(answer, '\0');
    const char *code = strchr((const char *)answer->data, ' ');
    return code ? (unsigned)strtoul(code, NULL, 10) : 0;
}

double monitor_metric(const struct df2redis *d, const char *sample)
{
    struct buf answer = {0};
    char *line = format_text("\ndf2redis_%s ", sample);
    bool asked = monitor_ask(d, "/metrics", &answer) == 200;
    const char *at = asked ? strstr((const char *)answer.data, line) : NULL;
    double value = at ? strtod(at + strlen(line), NULL) : -1;
    free(line);
    buf_free(&answer);
    return value;
}
