/* TLS in front of a server that has none: a scripted Dragonfly, a plain redis-server. */
#ifndef DF2REDIS_TESTS_TLS_PROXY_H
#define DF2REDIS_TESTS_TLS_PROXY_H

#include <stdint.h>

struct tls_proxy;

/* Listens on a free port of 127.0.0.1 and passes each connection on to `to_port`, in threads. Ends the test
 * program when it cannot. */
struct tls_proxy *tls_proxy_start(uint16_t to_port, const char *cert_file, const char *key_file);
void tls_proxy_stop(struct tls_proxy *p);
/* "rediss://localhost:PORT" */
const char *tls_proxy_uri(const struct tls_proxy *p);
/* Connections passed on so far. */
unsigned tls_proxy_connections(struct tls_proxy *p);

#endif
