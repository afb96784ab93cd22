#define _GNU_SOURCE
#include "layer_faults.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_SLEEP_US 2000
#define BLOCK (64 << 10)
#define COLLISION_NS 200000

enum fault selected_fault;
static unsigned long period = 1;
static unsigned long sleep_us = DEFAULT_SLEEP_US;
static atomic_ulong eligible_calls;
static atomic_bool forked;
static atomic_uint threads_in_map;

/* Settings */

LAYER_EXPORT const char *vkmapctl_layer_faults(void)
{
#define FAULT_LINE(id, name, description) name "\t" description "\n"
    return FAULTS(FAULT_LINE);
#undef FAULT_LINE
}

bool refuse_setting(const char *name, const char *value, const char *reason)
{
    fprintf(stderr, "VK_LAYER_VKMAPCTL_test: %s=%s: %s\n", name, value, reason);
    return false;
}

static bool parse_count(const char *text, unsigned long *count)
{
    char *end;
    errno = 0;
    *count = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

static enum fault fault_named(const char *name, size_t length)
{
    static const char *const names[] = {"",
#define FAULT_NAME(id, name, description) name,
                                        FAULTS(FAULT_NAME)
#undef FAULT_NAME
    };
    for (size_t i = 1; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
            return (enum fault)i;
    return FAULT_NONE;
}

static bool configure_fault(const char *setting)
{
    size_t length = strcspn(setting, ":");
    selected_fault = fault_named(setting, length);
    if (selected_fault == FAULT_NONE)
        return refuse_setting("VKMAPCTL_LAYER_FAULT", setting, "no such fault");
    if (setting[length] == ':' && (!parse_count(setting + length + 1, &period) || period == 0))
        return refuse_setting("VKMAPCTL_LAYER_FAULT", setting, "the period must be a whole number from 1 up");
    return true;
}

static void note_fork(void)
{
    forked = true;
}

bool faults_configure(void)
{
    selected_fault = FAULT_NONE;
    period = 1;
    sleep_us = DEFAULT_SLEEP_US;
    eligible_calls = 0;

    const char *sleep = getenv("VKMAPCTL_LAYER_SLEEP_US");
    if (sleep && !parse_count(sleep, &sleep_us))
        return refuse_setting("VKMAPCTL_LAYER_SLEEP_US", sleep, "not a number of microseconds");
    const char *fault = getenv("VKMAPCTL_LAYER_FAULT");
    if (fault && *fault && !configure_fault(fault))
        return false;
    return selected_fault != FAULT_FORK_DISTURBS || pthread_atfork(NULL, note_fork, NULL) == 0;
}

/* Trigger */

bool fault_is_due(void)
{
    return (atomic_fetch_add(&eligible_calls, 1) + 1) % period == 0;
}

/* Effects */

static volatile uintptr_t nowhere;

__attribute__((no_sanitize("address", "undefined"))) void crash(void)
{
    *(volatile int *)nowhere = 0;
}

void hang(void)
{
    for (;;)
        pause();
}

void oversleep(void)
{
    struct timespec left = {(time_t)(sleep_us / 1000000), (long)(sleep_us % 1000000) * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

void lose_contents(const struct mapping *mapping)
{
    memset(mapping->pointer, 0, mapping->size);
}

/* Another bit each time, and the same bits in every run. */
void flip_bit(const struct mapping *mapping)
{
    static atomic_uint_fast64_t flips;
    uint64_t hash = (atomic_fetch_add(&flips, 1) + 1) * UINT64_C(0x9E3779B97F4A7C15);
    hash ^= hash >> 29;
    mapping->pointer[hash % mapping->size] ^= (char)(1 << (hash >> 61));
}

void forbid_last_page(const struct mapping *mapping)
{
    char *end = mapping_first_page(mapping) + mapping_length(mapping);
    mprotect(end - page_size(), page_size(), PROT_NONE);
}

static void trample_page(char *page)
{
    mmap(page, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

void trample_neighbours(const struct mapping *mapping)
{
    char *first = mapping_first_page(mapping);
    trample_page(first - page_size());
    trample_page(first + mapping_length(mapping));
}

void replace_rest_of_64k(const struct mapping *mapping)
{
    char *first = mapping_first_page(mapping);
    size_t length = mapping_length(mapping);
    size_t block = page_size() < BLOCK ? BLOCK : 2 * page_size(); /* a block of one page would replace no other */
    for (size_t at = length; at < round_up(length, block); at += page_size())
        trample_page(first + at);
}

bool has_forked(void)
{
    return forked;
}

bool enter_map(void)
{
    bool alone = atomic_fetch_add(&threads_in_map, 1) == 0;
    nanosleep(&(struct timespec){0, COLLISION_NS}, NULL);
    return !alone;
}

void leave_map(void)
{
    atomic_fetch_sub(&threads_in_map, 1);
}

/* Shared, because the kernel would merge private anonymous mappings that touch into one. */
void leak_mapping(void)
{
    mmap(NULL, page_size(), PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}
