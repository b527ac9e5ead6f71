/* SHA-1 by EVP, as OpenSSL has deprecated its SHA1 functions. */
#include "worker/pipeline/script_name.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum { SHA1_BYTES = 20 };

void script_name(struct slice body, char *out, size_t bytes)
{
    uint8_t digest[EVP_MAX_MD_SIZE] = {0};
    char sha[2 * SHA1_BYTES + 1];
    unsigned len = 0;
    if (EVP_Digest(body.data, body.len, digest, &len, EVP_sha1(), NULL) != 1)
        memset(digest, 0, SHA1_BYTES); /* the library has no SHA-1 */
    for (int i = 0; i < SHA1_BYTES; i++)
        snprintf(sha + 2 * i, 3, "%02x", digest[i]);
    const uint8_t *end = body.len ? memchr(body.data, '\n', body.len) : NULL;
    size_t line = end ? (size_t)(end - body.data) : body.len;
    snprintf(out, bytes, "%s %.*s", sha, (int)(line < 60 ? line : 60), (const char *)body.data);
}
