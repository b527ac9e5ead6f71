/* Every row of the table of commands: what becomes of it on a target that knows everything. */
#include "tests/support/translate_case.h"

enum { IDEMPOTENT = 0, ONCE = 1 };

/* One line at least for every row; out NULL: the same as in. */
static const struct {
    const char *in, *out;
    bool once;
} lines[] = {
    /* As recorded from v1.40.1. */
    {"SET s1 v", NULL, IDEMPOTENT},
    {"SET s2 v PXAT 1825394430530", NULL, IDEMPOTENT},
    {"SET s2 w KEEPTTL", NULL, IDEMPOTENT},
    {"SETNX s8 v", "SET s8 v", IDEMPOTENT},
    {"GETSET s8 new", "SET s8 new", IDEMPOTENT},
    {"GETDEL s4", "DEL s4", IDEMPOTENT},
    {"PERSIST s6", NULL, IDEMPOTENT},
    {"PEXPIREAT s7 1945394430531", NULL, IDEMPOTENT},
    {"SETRANGE s1 5 zz", NULL, IDEMPOTENT},
    {"APPEND s1 tail", NULL, ONCE},
    {"PREPEND s1 head", "EVAL <script> 1 s1 head", ONCE},
    {"INCR n1", NULL, ONCE},
    {"INCRBY n1 41", NULL, ONCE},
    {"DECR n1", NULL, ONCE},
    {"DECRBY n1 5", NULL, ONCE},
    {"INCRBYFLOAT n2 3.25", "EVAL <script> 1 n2 3.25", ONCE},
    {"MSET ms0 0 ms1 1", NULL, IDEMPOTENT},
    {"SETBIT b1 77 1", NULL, IDEMPOTENT},
    {"BITFIELD b5 SET u8 0 255 INCRBY u4 4 3", NULL, ONCE},
    {"PFADD p1 a b", NULL, IDEMPOTENT},
    {"DEL ms1 ms2 ms3 ms4", NULL, IDEMPOTENT},
    {"RENAME rn0 rnew0", NULL, ONCE},
    {"RENAMENX rnew0 rnx0", NULL, ONCE},
    {"MOVE ms13 1", NULL, ONCE},
    {"RPUSH l1 0 1 2", NULL, ONCE},
    {"LPUSH l1 a b", NULL, ONCE},
    {"LPUSHX l1 c", NULL, ONCE},
    {"RPUSHX l1 d", NULL, ONCE},
    {"LPOP l1", NULL, ONCE},
    {"RPOP l1 2", NULL, ONCE},
    {"LINSERT l1 BEFORE 5 ins", NULL, ONCE},
    {"LSET l1 0 set0", NULL, ONCE},
    {"LREM l1 1 b", NULL, ONCE},
    {"LTRIM l1 0 7", NULL, ONCE},
    {"SORT l1 ALPHA STORE sorted", "EVAL <script> 2 l1 sorted SORT l1 ALPHA STORE sorted", ONCE},
    {"SADD se x y z w", NULL, IDEMPOTENT},
    {"SREM se x", NULL, ONCE},
    {"ZADD z1 1 a 2 b", NULL, IDEMPOTENT},
    {"ZADD z1 GT CH 10 a", "EVAL <script> 1 z1 GT CH 10 a", ONCE},
    {"ZADD z1 NX 9 new", NULL, ONCE},
    {"ZADD z1 INCR 3 c", NULL, ONCE},
    {"ZADD z1 CH 3 NX", NULL, IDEMPOTENT}, /* NX is a member here */
    {"ZINCRBY z1 2.5 b", NULL, ONCE},
    {"ZREM z1 d", NULL, ONCE},
    {"ZPOPMIN z1", NULL, ONCE},
    {"ZPOPMAX z1 1", NULL, ONCE},
    {"ZREMRANGEBYRANK z3 0 3", NULL, ONCE},
    {"ZREMRANGEBYSCORE z3 10 15", NULL, ONCE},
    {"ZREMRANGEBYLEX z4 [a (c", NULL, ONCE},
    {"GEOADD g1 13.3 38.1 P 15.0 37.5 C", NULL, IDEMPOTENT},
    {"GEOADD g1 NX 13.3 38.1 P", NULL, ONCE},
    {"GEORADIUS g1 15 37 200 km STORE gs", "EVAL <script> 2 g1 gs GEORADIUS g1 15 37 200 km STORE gs", ONCE},
    {"GEORADIUSBYMEMBER g1 P 300 km STOREDIST gsd",
     "EVAL <script> 2 g1 gsd GEORADIUSBYMEMBER g1 P 300 km STOREDIST gsd", ONCE},
    {"HSET h1 a 1 b 2 c x", NULL, IDEMPOTENT},
    {"HMSET h1 d 4", NULL, IDEMPOTENT},
    {"HSETNX h1 a 9", NULL, ONCE},
    {"HINCRBY h1 a 5", NULL, ONCE},
    {"HINCRBYFLOAT h1 b 0.5", "EVAL <script> 1 h1 b 0.5", ONCE},
    {"HDEL h1 c zz", NULL, ONCE},
    {"HSETEX h2 120 f v", "HSET h2 f v | HPEXPIREAT h2 1700000120000 FIELDS 1 f", IDEMPOTENT},
    {"FIELDEXPIRE h3 120 f", "HPEXPIREAT h3 1700000120000 FIELDS 1 f", IDEMPOTENT},
    {"HEXPIRE h3 150 FIELDS 1 g", "HPEXPIREAT h3 1700000150000 FIELDS 1 g", IDEMPOTENT},
    {"HGETEX h3 EX 180 FIELDS 1 f", "HPEXPIREAT h3 1700000180000 FIELDS 1 f", IDEMPOTENT},
    {"XADD x1 1795394430543-0 a 1", NULL, IDEMPOTENT},
    {"XADD x1 MINID 1795394430543-0 1795394430543-2 a 3", NULL, IDEMPOTENT},
    {"XADD x2 NOMKSTREAM 8-1 f v", NULL, IDEMPOTENT},
    {"XDEL x2 6-1", NULL, IDEMPOTENT},
    {"XTRIM x2 MINID 7-1", NULL, ONCE},
    {"XSETID x2 100-0", NULL, ONCE},
    {"XGROUP CREATE x3 g $ MKSTREAM", NULL, ONCE},
    {"XCLAIM x1 g c1 0 1-0 TIME 1795394430543 RETRYCOUNT 1 FORCE JUSTID LASTID 1-0", NULL, ONCE},
    {"XGROUP SETID x1 g 1795394430543-1 ENTRIESREAD 2", NULL, ONCE},
    {"XACK x1 g 0-1", NULL, IDEMPOTENT},
    {"XAUTOCLAIM x1 g c3 0 0", "XGROUP CREATECONSUMER x1 g c3 | XAUTOCLAIM x1 g c3 0 0", ONCE},
    {"XCLAIM x4 g c2 0 2-1", "XGROUP CREATECONSUMER x4 g c2 | XCLAIM x4 g c2 0 2-1", ONCE},
    {"STICK dump", "", IDEMPOTENT},
    {"CL.THROTTLE thr 15 30 60 1", NULL, ONCE},
    {"JSON.SET j1 $ {}", "EVAL <script> 1 j1 $ {}", IDEMPOTENT},
    {"JSON.SET j1 $.a 1", NULL, ONCE},
    {"JSON.SET j1 $ 1 NX", NULL, ONCE},
    {"JSON.NUMINCRBY j1 $.a 5", NULL, ONCE},
    {"JSON.NUMMULTBY j1 $.a 5", NULL, ONCE},
    {"JSON.ARRAPPEND j1 $.l 3", NULL, ONCE},
    {"JSON.ARRINSERT j1 $.l 0 3", NULL, ONCE},
    {"JSON.ARRTRIM j1 $.l 0 3", NULL, ONCE},
    {"JSON.STRAPPEND j1 $.s \"yz\"", NULL, ONCE},
    {"JSON.TOGGLE j1 $.b", NULL, ONCE},
    {"JSON.CLEAR j1 $.b", NULL, ONCE},
    {"JSON.DEL j1 $.b", NULL, ONCE},
    {"JSON.DEL j1", "DEL j1", IDEMPOTENT},
    {"JSON.FORGET j1 $", "DEL j1", IDEMPOTENT},
    {"JSON.MERGE j1 $ {\"m\":1}", NULL, ONCE},
    {"JSON.MSET j2 $ 1 j3 . [1,2,3]", "EVAL <script> 1 j2 $ 1 | EVAL <script> 1 j3 . [1,2,3]", IDEMPOTENT},
    {"JSON.MSET j2 $ 1 j3 $.a [1,2,3]", "EVAL <script> 1 j2 $ 1 | JSON.SET j3 $.a [1,2,3]", ONCE},
    {"JSON.ARRPOP j3", NULL, ONCE},
    {"BF.ADD bl1 x", NULL, IDEMPOTENT},
    {"BF.MADD bl1 x y", NULL, IDEMPOTENT},
    {"BF.RESERVE bl1 0.01 100", NULL, ONCE},
    {"BF.LOADCHUNK bl1 1 data", "", IDEMPOTENT},
    {"CMS.INITBYDIM cm1 10 5", NULL, ONCE},
    {"CMS.INITBYPROB cm1 0.1 0.5", NULL, ONCE},
    {"CMS.INCRBY cm1 x 3", NULL, ONCE},
    {"CMS.MERGE cm1 2 cm2 cm3", NULL, ONCE},
    {"TOPK.RESERVE tk1 3", NULL, ONCE},
    {"TOPK.ADD tk1 x", NULL, ONCE},
    {"TOPK.INCRBY tk1 x 2", NULL, ONCE},
    {"CF.ADD cf1 x", NULL, ONCE},
    {"CF.ADDNX cf1 x", NULL, ONCE},
    {"CF.RESERVE cf1 100", NULL, ONCE},
    {"CF.INSERT cf1 ITEMS x", NULL, ONCE},
    {"CF.INSERTNX cf1 ITEMS x", NULL, ONCE},
    {"CF.DEL cf1 x", NULL, ONCE},
    {"CF.COMPACT cf1", NULL, ONCE},
    {"CF.LOADCHUNK cf1 1 data", "", IDEMPOTENT},
    {"FT.CREATE i ON HASH PREFIX 1 d: SCHEMA t TEXT", "FT._CREATEIFNX i ON HASH PREFIX 1 d: SCHEMA t TEXT",
     IDEMPOTENT},
    {"FT.ALTER i SCHEMA ADD n NUMERIC", "FT._ALTERIFNX i SCHEMA ADD n NUMERIC", IDEMPOTENT},
    {"FT.DROPINDEX i", "FT._DROPINDEXIFX i", ONCE},
    {"FT.SYNUPDATE i g a b", NULL, IDEMPOTENT},
    /* Rewritten by the master before journaling; kept for other versions. */
    {"UNLINK a b", NULL, IDEMPOTENT},
    {"DELEX a", "DEL a", IDEMPOTENT},
    {"DELEX a IFDEQ 0123456789abcdef", NULL, ONCE},
    {"EXPIRE k 10", "PEXPIREAT k 1700000010000", IDEMPOTENT},
    {"PEXPIRE k 1000", "PEXPIREAT k 1700000001000", IDEMPOTENT},
    {"EXPIREAT k 1800000000", "PEXPIREAT k 1800000000000", IDEMPOTENT},
    {"EXPIRE k 10 GT", "PEXPIREAT k 1700000010000 GT", ONCE},
    {"COPY a b REPLACE", "COPY a b REPLACE", ONCE},
    {"SHRINK a", "", IDEMPOTENT},
    {"RM 0 MATCH a*", "", IDEMPOTENT},
    {"SCRIPT FLUSH", "", IDEMPOTENT},
    {"SCRIPT LOAD return", NULL, IDEMPOTENT},
    {"PING", "", IDEMPOTENT},
    {"DFLYCLUSTER FLUSHSLOTS 0 1", "", IDEMPOTENT},
    {"SETEX k 10 v", "SET k v PXAT 1700000010000", IDEMPOTENT},
    {"PSETEX k 1000 v", "SET k v PXAT 1700000001000", IDEMPOTENT},
    {"GETEX k EX 10", "PEXPIREAT k 1700000010000", IDEMPOTENT},
    {"GETEX k PERSIST", "PERSIST k", IDEMPOTENT},
    {"GETEX k", "", IDEMPOTENT},
    {"GAT k", "", IDEMPOTENT},
    {"MSETNX a 1 b 2", NULL, ONCE},
    {"BITOP AND d a b", NULL, ONCE},
    {"PFMERGE d a b", NULL, ONCE},
    {"LMOVE a b LEFT RIGHT", NULL, ONCE},
    {"RPOPLPUSH a b", NULL, ONCE},
    {"BLMOVE a b LEFT RIGHT 0", "LMOVE a b LEFT RIGHT", ONCE},
    {"BRPOPLPUSH a b 0", "RPOPLPUSH a b", ONCE},
    {"BLPOP a 0", "LPOP a", ONCE},
    {"BRPOP a b 0", "EVAL <script> 2 a b RPOP", ONCE},
    {"LMPOP 1 a LEFT COUNT 3", "LPOP a 3", ONCE},
    {"BLMPOP 0 2 a b RIGHT", "EVAL <script> 2 a b RPOP", ONCE},
    {"SADDEX sx 120 m1 m2", "SADD sx m1 m2", IDEMPOTENT},
    {"SPOP s", "", IDEMPOTENT},
    {"SMOVE a b m", NULL, ONCE},
    {"SDIFFSTORE d a b", NULL, ONCE},
    {"SINTERSTORE d a b", NULL, ONCE},
    {"SUNIONSTORE d a b", NULL, ONCE},
    {"BZPOPMIN a 0", "ZPOPMIN a", ONCE},
    {"BZPOPMAX a 0", "ZPOPMAX a", ONCE},
    {"ZMPOP 2 a b MIN COUNT 2", "EVAL <script> 2 a b ZPOPMIN 2", ONCE},
    {"BZMPOP 0 1 a MAX", "ZPOPMAX a", ONCE},
    {"ZRANGESTORE d a 0 -1", NULL, ONCE},
    {"ZUNIONSTORE d 2 a b WEIGHTS 1 2", NULL, ONCE},
    {"ZINTERSTORE d 2 a b", NULL, ONCE},
    {"ZDIFFSTORE d 2 a b", NULL, ONCE},
    {"XREADGROUP GROUP g c STREAMS s >", "", IDEMPOTENT},
};

static void every_row_becomes_what_is_expected(void **state)
{
    (void)state;
    struct translate_case c;
    case_open(&c, case_modern_target());
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        case_expect(&c, lines[i].in, lines[i].out ? lines[i].out : lines[i].in, lines[i].once);
    case_close(&c);
}

static void every_row_has_a_line_here(void **state)
{
    (void)state;
    const struct command *tables[] = {command_table, command_table_modules};
    for (size_t i = 0; i < 2; i++)
        for (const struct command *c = tables[i]; c->name; c++) {
            size_t n = strlen(c->name), k = 0, count = sizeof lines / sizeof *lines;
            while (k < count && !(strncmp(lines[k].in, c->name, n) == 0 && strchr(" ", lines[k].in[n])))
                k++;
            if (k == count && c->class != COMMAND_GLOBAL && strcmp(c->name, "RESTORE") != 0)
                fail_msg("%s", c->name); /* RESTORE: test_rewrite_restore.c */
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_becomes_what_is_expected),
        cmocka_unit_test(every_row_has_a_line_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
