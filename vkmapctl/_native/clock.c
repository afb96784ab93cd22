#define _GNU_SOURCE
#include "loop.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"

#if defined(VKM_HAS_TSC)
#include <cpuid.h>
#endif

uint64_t vkm_clock_ns(const struct vkm_clock *clock)
{
    return vkm_ticks_to_ns(clock, vkm_ticks(clock));
}

#if defined(VKM_HAS_TSC)
static uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* CPUID 8000_0007h EDX bit 8: the counter's rate does not change with frequency or sleep states. */
static int tsc_is_invariant(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8));
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of short windows against CLOCK_MONOTONIC: one preempted window does not matter. */
static double tsc_ns_per_tick(void)
{
    enum { WINDOWS = 7, WINDOW_NS = 2000000 };
    double ratio[WINDOWS];
    for (int i = 0; i < WINDOWS; i++) {
        uint64_t t0 = monotonic_ns(), c0 = __rdtsc(), t1;
        do
            t1 = monotonic_ns();
        while (t1 - t0 < WINDOW_NS);
        uint64_t c1 = __rdtsc();
        ratio[i] = c1 > c0 ? (double)(t1 - t0) / (double)(c1 - c0) : 0;
    }
    qsort(ratio, WINDOWS, sizeof ratio[0], compare_double);
    return ratio[WINDOWS / 2];
}

/* Visits each CPU this thread may use and compares the counter there with CLOCK_MONOTONIC. */
static int tsc_is_synchronised(double ns_per_tick)
{
    const double allowed_ns = 2000;
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all))
        return 0;
    int synchronised = 1, first = 1;
    double reference = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && synchronised; cpu++) {
        if (!CPU_ISSET(cpu, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof one, &one))
            continue;
        double offset = 0, tightest = 1e18;
        for (int i = 0; i < 20; i++) {
            uint64_t t0 = monotonic_ns(), c = __rdtsc(), t1 = monotonic_ns();
            if ((double)(t1 - t0) < tightest) {
                tightest = (double)(t1 - t0);
                offset = (double)c * ns_per_tick - (double)t0;
            }
        }
        if (first)
            reference = offset;
        first = 0;
        double skew = offset - reference;
        /* The rate is known to some parts per million; over the visit of a few CPUs that is nothing. */
        synchronised = skew < allowed_ns && skew > -allowed_ns;
    }
    sched_setaffinity(0, sizeof all, &all);
    return synchronised;
}
#endif

struct vkm_clock vkm_clock_choose(uint32_t counter_is_trusted)
{
    struct vkm_clock clock = {0, (uint64_t)1 << 32};
#if defined(VKM_HAS_TSC)
    /* On a busy machine the visit of the CPUs takes so long that the rate's error is more than the skew allowed. */
    enum { TRIES = 6 };
    for (int i = 0; counter_is_trusted && tsc_is_invariant() && !clock.kind && i < TRIES; i++) {
        double ns_per_tick = tsc_ns_per_tick();
        if (ns_per_tick > 0 && tsc_is_synchronised(ns_per_tick)) {
            clock.kind = 1;
            clock.mult = (uint64_t)(ns_per_tick * 4294967296.0 + 0.5);
        }
    }
#elif defined(__aarch64__)
    uint64_t hz;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
    if (counter_is_trusted && hz > 0) {
        clock.kind = 2;
        clock.mult = (uint64_t)(1e9 / (double)hz * 4294967296.0 + 0.5);
    }
#else
    (void)counter_is_trusted;
#endif
    return clock;
}

void vkm_clock_floor(const struct vkm_clock *clock, struct vkm_histogram *histogram, uint32_t reads)
{
    for (uint32_t i = 0; i < reads; i++) {
        uint64_t t0 = vkm_ticks(clock), t1 = vkm_ticks(clock);
        vkm_record(histogram, vkm_ticks_to_ns(clock, t1 - t0));
    }
}

uint64_t vkm_clock_step(const struct vkm_clock *clock)
{
    enum { READS = 1000000, CHANGES = 1000 };
    uint64_t smallest = UINT64_MAX, alike = 0, changes = 0, before = vkm_ticks(clock);
    for (uint32_t i = 0; i < READS && changes < CHANGES; i++) {
        uint64_t now = vkm_ticks(clock), change = now - before;
        before = now;
        if (!change) {
            alike++;
            continue;
        }
        changes++;
        smallest = change < smallest ? change : smallest;
    }
    return alike && changes ? vkm_ticks_to_ns(clock, smallest) : 0;
}
