/* A machine's clock that is off: preloaded, it adds CLOCK_OFF_SECONDS to the time of day, and to no other clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    const char *off = getenv("CLOCK_OFF_SECONDS");
    if (result == 0 && clock == CLOCK_REALTIME && off)
        now->tv_sec += atol(off);
    return result;
}
