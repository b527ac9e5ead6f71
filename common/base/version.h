/* The one place that has the version. */
#ifndef DF2REDIS_COMMON_BASE_VERSION_H
#define DF2REDIS_COMMON_BASE_VERSION_H

#define DF2REDIS_VERSION "0.2.0"

#endif
