/* Messages as bytes, and over a socketpair.
 *
 *   u32 type | the fields of that type, in the order of struct message
 *
 * Numbers are little-endian; text in a char array goes as u32 length and bytes without the terminator; a buf
 * as u32 length and bytes. A message with bytes left over, too long a text or an unknown type is refused. */
#include "common/ipc/message.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/wire.h"

const char *message_name(enum message_type type)
{
    static const char *const names[] = {
        [MESSAGE_HELLO] = "HELLO",
        [MESSAGE_FLOW_OPENED] = "FLOW_OPENED",
        [MESSAGE_SNAPSHOT_DONE] = "SNAPSHOT_DONE",
        [MESSAGE_STABLE] = "STABLE",
        [MESSAGE_PING] = "PING",
        [MESSAGE_AT_GLOBAL] = "AT_GLOBAL",
        [MESSAGE_LEFT_GLOBAL] = "LEFT_GLOBAL",
        [MESSAGE_GLOBAL_DONE] = "GLOBAL_DONE",
        [MESSAGE_DIVERGENCE] = "DIVERGENCE",
        [MESSAGE_LOGGED] = "LOGGED",
        [MESSAGE_HEALED] = "HEALED",
        [MESSAGE_FAILED] = "FAILED",
        [MESSAGE_DRAINED] = "DRAINED",
        [MESSAGE_BREAK] = "BREAK",
        [MESSAGE_SPOOL_FULL] = "SPOOL_FULL",
        [MESSAGE_COMPARE_ALL] = "COMPARE_ALL",
        [MESSAGE_WENT_BACK] = "WENT_BACK",
        [MESSAGE_START] = "START",
        [MESSAGE_ENTER_STABLE] = "ENTER_STABLE",
        [MESSAGE_RUN_GLOBAL] = "RUN_GLOBAL",
        [MESSAGE_PASS_GLOBAL] = "PASS_GLOBAL",
        [MESSAGE_DRAIN] = "DRAIN",
        [MESSAGE_STOP] = "STOP",
        [MESSAGE_RECONFIGURE] = "RECONFIGURE",
        [MESSAGE_VERIFY] = "VERIFY",
        [MESSAGE_VERIFY_REPORT] = "VERIFY_REPORT",
        [MESSAGE_CLOCK] = "CLOCK",
    };
    size_t i = (size_t)type;
    return i < sizeof names / sizeof *names && names[i] ? names[i] : "unknown";
}

/* Settings carry passwords. */
static void free_secret(struct buf *b)
{
    if (b->len > 0)
        explicit_bzero(b->data, b->len);
    buf_free(b);
}

void message_free(struct message *m)
{
    if (m->type == MESSAGE_START) {
        free_secret(&m->start.settings);
        free_secret(&m->start.asked);
    } else if (m->type == MESSAGE_RECONFIGURE)
        free_secret(&m->reconfigure.settings);
    else if (m->type == MESSAGE_VERIFY)
        free_secret(&m->verify.settings);
    else if (m->type == MESSAGE_VERIFY_REPORT)
        buf_free(&m->verify_report.report);
}

static void put_text(struct buf *out, const char *text, size_t array_bytes)
{
    wire_put_bytes(out, slice_of(text, strnlen(text, array_bytes - 1)));
}

static void get_text(struct wire_reader *r, char *text, size_t array_bytes)
{
    struct slice s = wire_get_bytes(r);
    if (s.len >= array_bytes || (s.len > 0 && memchr(s.data, 0, s.len))) {
        r->failed = true;
        s.len = 0;
    }
    memcpy(text, s.data, s.len);
    text[s.len] = '\0';
}

static void get_buf(struct wire_reader *r, struct buf *out)
{
    struct slice s = wire_get_bytes(r);
    buf_put(out, s.data, s.len);
}

#define PUT_TEXT(array) put_text(out, array, sizeof(array))
#define GET_TEXT(array) get_text(r, array, sizeof(array))

static void put_start(const struct message *m, struct buf *out)
{
    wire_put_u32(out, m->start.flow);
    wire_put_u32(out, m->start.flow_count);
    wire_put_u32(out, m->start.mode);
    wire_put_u64(out, m->start.session);
    wire_put_u64(out, m->start.first_lsn);
    wire_put_u64(out, m->start.asked_lsn);
    wire_put_u64(out, m->start.check.lsn);
    wire_put_u64(out, m->start.check.sum);
    wire_put_u32(out, m->start.in_blobs);
    PUT_TEXT(m->start.last_master_id);
    wire_put_bytes(out, buf_slice(&m->start.asked));
    wire_put_u64(out, m->start.received_base);
    wire_put_u32(out, m->start.source_release);
    PUT_TEXT(m->start.token);
    PUT_TEXT(m->start.master_id);
    PUT_TEXT(m->start.sync_id);
    PUT_TEXT(m->start.masters);
    wire_put_bytes(out, buf_slice(&m->start.settings));
}

static void get_start(struct wire_reader *r, struct message *m)
{
    m->start.flow = wire_get_u32(r);
    m->start.flow_count = wire_get_u32(r);
    m->start.mode = wire_get_u32(r);
    m->start.session = wire_get_u64(r);
    m->start.first_lsn = wire_get_u64(r);
    m->start.asked_lsn = wire_get_u64(r);
    m->start.check.lsn = wire_get_u64(r);
    m->start.check.sum = wire_get_u64(r);
    m->start.in_blobs = wire_get_u32(r);
    GET_TEXT(m->start.last_master_id);
    get_buf(r, &m->start.asked);
    m->start.received_base = wire_get_u64(r);
    m->start.source_release = wire_get_u32(r);
    GET_TEXT(m->start.token);
    GET_TEXT(m->start.master_id);
    GET_TEXT(m->start.sync_id);
    GET_TEXT(m->start.masters);
    get_buf(r, &m->start.settings);
    r->failed |= m->start.mode < START_FULL || m->start.mode > START_RESUME;
    r->failed |= m->start.flow >= m->start.flow_count || m->start.asked_lsn > m->start.first_lsn ||
                 m->start.in_blobs > 1;
}

static void put_verify(const struct message *m, struct buf *out)
{
    wire_put_u32(out, m->verify.active);
    wire_put_u64(out, m->verify.session);
    wire_put_u32(out, m->verify.flow_count);
    PUT_TEXT(m->verify.master_id);
    wire_put_u32(out, m->verify.repair);
    wire_put_u32(out, m->verify.again);
    wire_put_u32(out, m->verify.by_run);
    wire_put_u32(out, m->verify.source_only);
    wire_put_u32(out, m->verify.sample_ppm);
    wire_put_u64(out, m->verify.keys_per_second);
    wire_put_bytes(out, buf_slice(&m->verify.settings));
}

static void get_verify(struct wire_reader *r, struct message *m)
{
    m->verify.active = wire_get_u32(r);
    m->verify.session = wire_get_u64(r);
    m->verify.flow_count = wire_get_u32(r);
    GET_TEXT(m->verify.master_id);
    m->verify.repair = wire_get_u32(r);
    m->verify.again = wire_get_u32(r);
    m->verify.by_run = wire_get_u32(r);
    m->verify.source_only = wire_get_u32(r);
    m->verify.sample_ppm = wire_get_u32(r);
    m->verify.keys_per_second = wire_get_u64(r);
    get_buf(r, &m->verify.settings);
    r->failed |= m->verify.active > 1 || m->verify.repair > 1 || m->verify.again > 1 ||
                 m->verify.by_run > 1 || m->verify.source_only > 1;
}

/* False for an unknown type. */
static bool put_fields(const struct message *m, struct buf *out)
{
    switch (m->type) {
    case MESSAGE_HELLO:
        wire_put_u32(out, m->hello.version);
        wire_put_u32(out, m->hello.pid);
        return true;
    case MESSAGE_FLOW_OPENED:
        wire_put_u32(out, m->flow_opened.full);
        PUT_TEXT(m->flow_opened.token);
        return true;
    case MESSAGE_AT_GLOBAL:
    case MESSAGE_LEFT_GLOBAL:
    case MESSAGE_GLOBAL_DONE:
    case MESSAGE_RUN_GLOBAL:
    case MESSAGE_PASS_GLOBAL:
        wire_put_u64(out, m->global.txid);
        PUT_TEXT(m->global.command);
        wire_put_u64(out, m->global.arrival);
        if (m->type == MESSAGE_PASS_GLOBAL) {
            wire_put_u64(out, m->global.age_ms);
            wire_put_u32(out, m->global.unheld);
        }
        return true;
    case MESSAGE_DIVERGENCE:
    case MESSAGE_HEALED:
        PUT_TEXT(m->divergence.reason);
        PUT_TEXT(m->divergence.command);
        PUT_TEXT(m->divergence.key);
        PUT_TEXT(m->divergence.text);
        wire_put_u64(out, m->divergence.id);
        return true;
    case MESSAGE_FAILED:
        wire_put_u32(out, m->failed.class);
        wire_put_u32(out, m->failed.exit_code);
        wire_put_u64(out, m->failed.offset);
        PUT_TEXT(m->failed.text);
        return true;
    case MESSAGE_BREAK:
        PUT_TEXT(m->source_break.text);
        return true;
    case MESSAGE_SPOOL_FULL:
        PUT_TEXT(m->spool_full.text);
        return true;
    case MESSAGE_COMPARE_ALL:
        PUT_TEXT(m->compare_all.reason);
        return true;
    case MESSAGE_WENT_BACK:
        wire_put_u64(out, m->went_back.seq);
        return true;
    case MESSAGE_START:
        put_start(m, out);
        return true;
    case MESSAGE_DRAIN:
        wire_put_u64(out, m->drain.lsn);
        return true;
    case MESSAGE_RECONFIGURE:
        wire_put_bytes(out, buf_slice(&m->reconfigure.settings));
        return true;
    case MESSAGE_VERIFY:
        put_verify(m, out);
        return true;
    case MESSAGE_VERIFY_REPORT:
        wire_put_bytes(out, buf_slice(&m->verify_report.report));
        return true;
    case MESSAGE_CLOCK:
        wire_put_u64(out, (uint64_t)m->clock.ahead_ms);
        wire_put_u32(out, m->clock.anew);
        return true;
    case MESSAGE_LOGGED:
    case MESSAGE_SNAPSHOT_DONE:
    case MESSAGE_STABLE:
    case MESSAGE_PING:
    case MESSAGE_DRAINED:
    case MESSAGE_ENTER_STABLE:
    case MESSAGE_STOP:
        return true;
    }
    return false;
}

/* The same fields the other way; false for an unknown type. */
static bool get_fields(struct wire_reader *r, struct message *m)
{
    switch (m->type) {
    case MESSAGE_HELLO:
        m->hello.version = wire_get_u32(r);
        m->hello.pid = wire_get_u32(r);
        return true;
    case MESSAGE_FLOW_OPENED:
        m->flow_opened.full = wire_get_u32(r);
        GET_TEXT(m->flow_opened.token);
        r->failed |= m->flow_opened.full > 1;
        return true;
    case MESSAGE_AT_GLOBAL:
    case MESSAGE_LEFT_GLOBAL:
    case MESSAGE_GLOBAL_DONE:
    case MESSAGE_RUN_GLOBAL:
    case MESSAGE_PASS_GLOBAL:
        m->global.txid = wire_get_u64(r);
        GET_TEXT(m->global.command);
        m->global.arrival = wire_get_u64(r);
        if (m->type == MESSAGE_PASS_GLOBAL) {
            m->global.age_ms = wire_get_u64(r);
            m->global.unheld = wire_get_u32(r);
            r->failed |= m->global.unheld > 1;
        }
        return true;
    case MESSAGE_DIVERGENCE:
    case MESSAGE_HEALED:
        GET_TEXT(m->divergence.reason);
        GET_TEXT(m->divergence.command);
        GET_TEXT(m->divergence.key);
        GET_TEXT(m->divergence.text);
        m->divergence.id = wire_get_u64(r);
        return true;
    case MESSAGE_FAILED:
        m->failed.class = wire_get_u32(r);
        m->failed.exit_code = wire_get_u32(r);
        m->failed.offset = wire_get_u64(r);
        GET_TEXT(m->failed.text);
        r->failed |= m->failed.class > ERROR_FATAL || m->failed.exit_code > 255;
        return true;
    case MESSAGE_BREAK:
        GET_TEXT(m->source_break.text);
        return true;
    case MESSAGE_SPOOL_FULL:
        GET_TEXT(m->spool_full.text);
        return true;
    case MESSAGE_COMPARE_ALL:
        GET_TEXT(m->compare_all.reason);
        return true;
    case MESSAGE_WENT_BACK:
        m->went_back.seq = wire_get_u64(r);
        return true;
    case MESSAGE_START:
        get_start(r, m);
        return true;
    case MESSAGE_DRAIN:
        m->drain.lsn = wire_get_u64(r);
        return true;
    case MESSAGE_RECONFIGURE:
        get_buf(r, &m->reconfigure.settings);
        return true;
    case MESSAGE_VERIFY:
        get_verify(r, m);
        return true;
    case MESSAGE_VERIFY_REPORT:
        get_buf(r, &m->verify_report.report);
        return true;
    case MESSAGE_CLOCK:
        m->clock.ahead_ms = (int64_t)wire_get_u64(r);
        m->clock.anew = wire_get_u32(r);
        r->failed |= m->clock.anew > 1;
        return true;
    case MESSAGE_LOGGED:
    case MESSAGE_SNAPSHOT_DONE:
    case MESSAGE_STABLE:
    case MESSAGE_PING:
    case MESSAGE_DRAINED:
    case MESSAGE_ENTER_STABLE:
    case MESSAGE_STOP:
        return true;
    }
    return false;
}

bool message_encode(const struct message *m, struct buf *out, struct error *error)
{
    size_t before = out->len;
    wire_put_u32(out, (uint32_t)m->type);
    if (!put_fields(m, out)) {
        out->len = before;
        return error_fatal(error, EX_SOFTWARE, "cannot send a message of the unknown type %d", (int)m->type);
    }
    if (out->len - before > MESSAGE_MAX_BYTES) {
        size_t bytes = out->len - before;
        out->len = before;
        return error_fatal(error, EX_SOFTWARE,
                           "a %s message of %zu bytes is too large: at most %d are possible",
                           message_name(m->type), bytes, MESSAGE_MAX_BYTES);
    }
    return true;
}

bool message_decode(struct slice bytes, struct message *m, struct error *error)
{
    struct wire_reader r = {bytes, bytes.len > MESSAGE_MAX_BYTES};
    memset(m, 0, sizeof *m);
    m->fd = -1;
    uint32_t type = wire_get_u32(&r);
    m->type = (enum message_type)type;
    if (r.failed || !get_fields(&r, m)) {
        m->type = 0;
        return error_fatal(
            error, EX_SOFTWARE,
            "a message of %zu bytes has the unknown type %u: df2redis and df2redis-worker must "
            "be of one build",
            bytes.len, type);
    }
    if (!wire_done(&r)) {
        error_fatal(error, EX_SOFTWARE,
                    "a %s message of %zu bytes is broken: df2redis and df2redis-worker must be of one build",
                    message_name(m->type), bytes.len);
        message_free(m);
        m->type = 0;
        return false;
    }
    return true;
}

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(4 * sizeof(int))];
};

enum message_status message_send(int socket, const struct message *m, struct error *error)
{
    struct buf bytes = {0};
    union control control = {0};
    if (!message_encode(m, &bytes, error)) {
        buf_free(&bytes);
        return MESSAGE_BROKEN;
    }
    struct iovec part = {bytes.data, bytes.len};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    if (m->fd >= 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &m->fd, sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(socket, &header, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    int saved = errno;
    free_secret(&bytes);
    if (n >= 0)
        return MESSAGE_OK;
    if (saved == EAGAIN || saved == EWOULDBLOCK || saved == ENOBUFS)
        return MESSAGE_AGAIN;
    if (saved == EPIPE || saved == ECONNRESET || saved == ENOTCONN)
        return MESSAGE_CLOSED;
    error_fatal(error, EX_OSERR, "sending a %s message: %s", message_name(m->type), strerror(saved));
    return MESSAGE_BROKEN;
}

/* Stores the received descriptor, if any, in *fd; closes all others. False: there was more than one. */
static bool take_descriptor(struct msghdr *header, int *fd)
{
    bool good = true;
    *fd = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int received;
            memcpy(&received, CMSG_DATA(c) + i * sizeof(int), sizeof received);
            if (*fd < 0) {
                *fd = received;
            } else {
                close(received);
                good = false;
            }
        }
    }
    return good;
}

/* If the peer closes with messages unread, recvmsg(2) fails once with ECONNRESET before it returns the peer's last
 * messages. */
static ssize_t receive_packet(int socket, struct msghdr *header)
{
    ssize_t n;
    bool reset = false, again;
    do {
        n = recvmsg(socket, header, MSG_CMSG_CLOEXEC);
        again = n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset));
        reset |= n < 0 && errno == ECONNRESET;
    } while (again);
    return n;
}

enum message_status message_receive(int socket, struct message *m, struct error *error)
{
    uint8_t *bytes = x_malloc(MESSAGE_MAX_BYTES);
    union control control = {0};
    struct iovec part = {bytes, MESSAGE_MAX_BYTES};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    enum message_status status = MESSAGE_BROKEN;
    int fd = -1;
    memset(m, 0, sizeof *m);
    m->fd = -1;
    ssize_t n = receive_packet(socket, &header);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        status = MESSAGE_AGAIN;
    } else if (n == 0 || (n < 0 && errno == ECONNRESET)) {
        status = MESSAGE_CLOSED;
    } else if (n < 0) {
        error_fatal(error, EX_OSERR, "receiving a message: %s", strerror(errno));
    } else if (!take_descriptor(&header, &fd) || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        error_fatal(error, EX_SOFTWARE, "a message is larger than %d bytes or has too many descriptors",
                    MESSAGE_MAX_BYTES);
    } else if (message_decode(slice_of(bytes, (size_t)n), m, error)) {
        m->fd = fd;
        status = MESSAGE_OK;
    }
    if (status != MESSAGE_OK && fd >= 0)
        close(fd);
    if (n > 0)
        explicit_bzero(bytes, (size_t)n);
    free(bytes);
    return status;
}
