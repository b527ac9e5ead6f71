/* The commands of the workload: a line each, words with placeholders.
 *
 *   keys    %s string  %c counter  %F float  %l list  %h hash  %k hash of numbers  %e set  %E set of numbers
 *           %z sorted set  %Z one of whole numbers  %B result of BITOP  %x stream  %g geo  %b bits
 *           %p HyperLogLog  %j JSON  %o bloom …  %Y short-lived  %a any of them
 *   values  %v any bytes  %V large  %m member  %f field  %n 0 … 99  %i -50 … 49  %r 1.25
 *           %t TTL in s (long)  %T in ms  %q short TTL in ms  %A absolute in s  %M absolute in ms
 *           %I new stream id  %O some older one  %D database  %w longitude  %u latitude
 *   *N after it: so many of them */
#ifndef DF2REDIS_TESTS_WORKLOAD_COMMANDS_H
#define DF2REDIS_TESTS_WORKLOAD_COMMANDS_H

enum workload_kind { WORKLOAD_PLAIN, WORKLOAD_SHORT_TTL, WORKLOAD_UNPORTABLE, WORKLOAD_LOSSY };

struct workload_command {
    enum workload_kind kind;
    unsigned weight;
    const char *line;
};

extern const struct workload_command workload_commands[];
extern const unsigned workload_command_count;

#endif
