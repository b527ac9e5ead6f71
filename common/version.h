/* The one place that has the version. */
#ifndef DF2REDIS_VERSION_H
#define DF2REDIS_VERSION_H

#define DF2REDIS_VERSION "0.1.0"

#endif
