/* Reading the clock, inlined into the loop. */
#ifndef VKM_CLOCK_H
#define VKM_CLOCK_H

#include "loop.h"

#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static inline uint64_t vkm_ticks(const struct vkm_clock *clock)
{
#if defined(__x86_64__)
    if (clock->kind == 1) {
        /* The fence keeps a call of a few ns from being reordered around the read. */
        _mm_lfence();
        return __rdtsc();
    }
#elif defined(__aarch64__)
    if (clock->kind == 2) {
        uint64_t ticks;
        __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks)::"memory");
        return ticks;
    }
#endif
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__extension__ typedef unsigned __int128 vkm_uint128;

static inline uint64_t vkm_ticks_to_ns(const struct vkm_clock *clock, uint64_t ticks)
{
    return (uint64_t)((vkm_uint128)ticks * clock->mult >> 32);
}

#endif
