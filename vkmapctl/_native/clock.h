/* Reading the clock, inlined into the loop. */
#ifndef VKM_CLOCK_H
#define VKM_CLOCK_H

#include "loop.h"

#include <time.h>

#if defined(__x86_64__) || defined(__i386__)
#define VKM_HAS_TSC
#include <x86intrin.h>
#endif

/* For a caller that keeps the kind at hand, so that the timed region reads no memory for it. */
static inline uint64_t vkm_ticks_of(uint32_t kind)
{
#if defined(VKM_HAS_TSC)
    if (kind == 1) {
        /* The fence keeps a call of a few ns from being reordered around the read. */
        __asm__ volatile("lfence" : : : "memory");
        return __rdtsc();
    }
#elif defined(__aarch64__)
    if (kind == 2) {
        uint64_t ticks;
        __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks)::"memory");
        return ticks;
    }
#endif
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    return kind < VKM_STEPPED ? ns : ns - ns % kind;
}

/* The same where a few ns more or less do not matter, and what the reading costs does: calls before and after it may
 * overlap it. */
static inline uint64_t vkm_ticks_unfenced(uint32_t kind)
{
#if defined(VKM_HAS_TSC)
    if (__builtin_expect(kind == 1, 1))
        return __rdtsc();
#elif defined(__aarch64__)
    if (__builtin_expect(kind == 2, 1)) {
        uint64_t ticks;
        __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
        return ticks;
    }
#endif
    return vkm_ticks_of(kind);
}

/* From one reading to a later one that is not fenced: arm64 may make them in another order, and another CPU's counter
 * may be behind by as much as is allowed. */
static inline uint64_t vkm_ticks_between(uint64_t from, uint64_t to)
{
    return to > from ? to - from : 0;
}

static inline uint64_t vkm_ticks(const struct vkm_clock *clock)
{
    return vkm_ticks_of(clock->kind);
}

#if defined(__SIZEOF_INT128__)
__extension__ typedef unsigned __int128 vkm_uint128;

static inline uint64_t vkm_ticks_to_ns(const struct vkm_clock *clock, uint64_t ticks)
{
    return (uint64_t)((vkm_uint128)ticks * clock->mult >> 32);
}
#else
static inline uint64_t vkm_ticks_to_ns(const struct vkm_clock *clock, uint64_t ticks)
{
    const uint64_t high = ticks >> 32, low = (uint32_t)ticks;
    return high * clock->mult + low * (clock->mult >> 32) + (low * (uint32_t)clock->mult >> 32);
}
#endif

#endif
