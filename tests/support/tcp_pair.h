/* Two ends of one TCP connection over the loopback: like socketpair(2), with what only TCP has. */
#ifndef DF2REDIS_TESTS_TCP_PAIR_H
#define DF2REDIS_TESTS_TCP_PAIR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

static inline bool tcp_pair(int pair[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pair[1] = -1;
    if (listener >= 0 && pair[0] >= 0 && bind(listener, (struct sockaddr *)&address, bytes) == 0 &&
        listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr *)&address, &bytes) == 0 &&
        connect(pair[0], (struct sockaddr *)&address, bytes) == 0)
        pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(listener);
    return pair[1] >= 0;
}

#endif
