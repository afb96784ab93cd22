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

int vkm_rates_agree(double ns_per_tick, uint64_t stated_hz)
{
    /* An NTP daemon lets CLOCK_MONOTONIC run up to 500 parts per million faster or slower. */
    const double allowed = 0.001;
    double ratio = ns_per_tick * (double)stated_hz / 1e9;
    return ratio > 1 - allowed && ratio < 1 + allowed;
}

#if defined(VKM_HAS_TSC)
#define COUNTER 1

/* CPUID 8000_0007h EDX bit 8: the counter's rate does not change with frequency or sleep states. */
static int counter_is_invariant(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8));
}

/* Nothing that could be relied on states another. */
static int rate_is_right(double ns_per_tick)
{
    return ns_per_tick > 0;
}
#elif defined(__aarch64__)
#define COUNTER 2

/* The architecture's system counter has one rate in all states, and all CPUs read the same one. */
static int counter_is_invariant(void)
{
    return 1;
}

/* CNTFRQ_EL0 states it, which firmware writes: where that is wrong, who knows what else is. */
static int rate_is_right(double ns_per_tick)
{
    uint64_t hz;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
    return vkm_rates_agree(ns_per_tick, hz);
}
#endif

#ifdef COUNTER
static uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of short windows against CLOCK_MONOTONIC: one preempted window does not matter. */
static double measured_ns_per_tick(void)
{
    enum { WINDOWS = 7, WINDOW_NS = 2000000 };
    double ratio[WINDOWS];
    for (int i = 0; i < WINDOWS; i++) {
        uint64_t t0 = monotonic_ns(), c0 = vkm_ticks_of(COUNTER), t1;
        do
            t1 = monotonic_ns();
        while (t1 - t0 < WINDOW_NS);
        uint64_t c1 = vkm_ticks_of(COUNTER);
        ratio[i] = c1 > c0 ? (double)(t1 - t0) / (double)(c1 - c0) : 0;
    }
    qsort(ratio, WINDOWS, sizeof ratio[0], compare_double);
    return ratio[WINDOWS / 2];
}

/* Visits each CPU this thread may use and compares the counter there with CLOCK_MONOTONIC. */
static int counter_is_synchronised(double ns_per_tick)
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
            uint64_t t0 = monotonic_ns(), c = vkm_ticks_of(COUNTER), t1 = monotonic_ns();
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
#ifdef COUNTER
    /* On a busy machine the visit of the CPUs takes so long that the rate's error is more than the skew allowed. */
    enum { TRIES = 6 };
    for (int i = 0; counter_is_trusted && counter_is_invariant() && !clock.kind && i < TRIES; i++) {
        double ns_per_tick = measured_ns_per_tick();
        if (rate_is_right(ns_per_tick) && counter_is_synchronised(ns_per_tick)) {
            clock.kind = COUNTER;
            clock.mult = (uint64_t)(ns_per_tick * 4294967296.0 + 0.5);
        }
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
