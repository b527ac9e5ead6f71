/* Keys that a recording's own journal does not carry: Dragonfly's replica diverges there too.
 *
 * Found by the form of the journaled commands, not by name (PROTOCOL §6, "lost by the master itself"):
 *   - SORT, GEORADIUS, GEORADIUSBYMEMBER, LMPOP, BLMPOP with nothing but a key: one half of a command over
 *     several shards; the parts of one txid name source and destination, of which one has lost its value;
 *   - LPOP or RPOP of a multi-key command (txid ≠ 0) without a push of the same txid: LMPOP … COUNT n, less
 *     its n;
 *   - SORT … STORE from such a key;
 *   - ZUNIONSTORE, ZINTERSTORE, ZDIFFSTORE without the number of keys, ZRANGESTORE without a range (older
 *     masters);
 *   - from masters before version 5, which do not journal XREADGROUP: the groups of streams that are then
 *     acknowledged or claimed from; and BITFIELD … INCRBY, whose overflow they count differently.
 * GEORADIUS… STOREDIST is whole, but each server rounds distances its own way. */
#ifndef DF2REDIS_TESTS_RECORDED_LOSSES_H
#define DF2REDIS_TESTS_RECORDED_LOSSES_H

#include "tests/support/recording.h"
#include "tests/support/state.h"

/* An exception for each such key; the caller frees *out. Keys point into the recording. */
size_t recorded_losses(const struct recording *r, struct state_exception **out);

#endif
