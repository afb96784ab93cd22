/* What goes wrong, and when: lists of actions in Vulkan commands and at moments of the library's life. */
#define _GNU_SOURCE
#include "icd.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Name, parameters (n for a number, t for a text; colons divide them), and what it does with them. */
#define ACTIONS(X) \
    X(crash, "", *(volatile int *)nowhere = 0) \
    X(abort, "", abort()) \
    X(hang, "", for (;;) pause()) \
    /* status; exit(3) runs handlers and destructors, quit does not */ \
    X(exit, "n", exit((int)n[0])) \
    X(quit, "n", _exit((int)n[0])) \
    /* signal */ \
    X(raise, "n", raise((int)n[0])) \
    /* milliseconds */ \
    X(sleep, "n", poll(NULL, 0, (int)n[0])) \
    /* turns of an empty loop: a driver that takes longer, and works all the time */ \
    X(spin, "n", for (volatile uint64_t left = n[0]; left; left--)) \
    /* file descriptor, and what to write or how many bytes */ \
    X(write, "nt", write_all((int)n[0], step->text, step->length)) \
    X(fill, "nn", fill((int)n[0], n[1])) \
    X(close, "n", close((int)n[0])) \
    /* bytes that are taken for ever, and written so that they are there */ \
    X(eat, "n", eat((size_t)n[0])) \
    /* what follows is done by a process of its own, which then ends, or by a thread */ \
    X(fork, "", in_process(step + 1, call)) \
    X(thread, "", in_thread(step + 1, call)) \
    /* path of a file: what follows is done only where it exists */ \
    X(touch, "t", close(creat(step->text, 0666))) \
    X(when, "t", call->stopped = access(step->text, F_OK) != 0) \
    /* bytes: what follows in vkAllocateMemory is done only where more are asked for */ \
    X(above, "n", call->stopped = allocated(call) <= n[0]) \
    /* the driver's part: what follows comes after it */ \
    X(call, "", call_driver(call)) \
    /* result; the driver is not called any more */ \
    X(return, "n", answer(call, n[0])) \
    /* argument (from 0) that points to where it goes, value */ \
    X(u32, "nn", store(call, n, 4)) \
    X(u64, "nn", store(call, n, 8))

static void run(const struct step *step, struct call *call)
{
    for (; step->act && !call->stopped; step++)
        step->act(step, call);
}

/* Actions */

static volatile uintptr_t nowhere;

static void write_all(int fd, const char *bytes, size_t length)
{
    ssize_t written;
    for (; length > 0 && (written = write(fd, bytes, length)) > 0; length -= (size_t)written)
        bytes += written;
}

static void fill(int fd, uint64_t size)
{
    static const char line[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
    for (; size >= 64; size -= 64)
        write_all(fd, line, 64);
    write_all(fd, line, (size_t)size);
}

static void eat(size_t size)
{
    static char *volatile eaten; /* for good */
    eaten = malloc(size);
    for (size_t i = 0; eaten && i < size; i += 4096)
        eaten[i] = 1;
}

/* VkMemoryAllocateInfo::allocationSize, behind sType and pNext */
static uint64_t allocated(const struct call *call)
{
    return ((const uint64_t *)(uintptr_t)call->argument[1])[2];
}

static void in_process(const struct step *steps, struct call *call)
{
    call->stopped = true;
    if (fork() != 0)
        return;
    run(steps, &(struct call){.done = true});
    _exit(0);
}

static void *thread_of(void *steps)
{
    run(steps, &(struct call){.done = true});
    return NULL;
}

static void in_thread(const struct step *steps, struct call *call)
{
    pthread_t thread;
    call->stopped = true;
    if (pthread_create(&thread, NULL, thread_of, (void *)(uintptr_t)steps) == 0)
        pthread_detach(thread);
}

static void call_driver(struct call *call)
{
    const uint64_t *a = call->argument;
    if (call->done)
        return;
    call->done = true;
    call->result = call->real(a[0], a[1], a[2], a[3], a[4], a[5]);
    if (call->patch)
        call->patch(call);
}

static void answer(struct call *call, uint64_t result)
{
    call->done = call->stopped = true;
    call->result = result;
}

/* The caller who asks for a count alone gives NULL for the array. */
static void store(const struct call *call, const uint64_t *argument_and_value, size_t size)
{
    void *place = (void *)(uintptr_t)call->argument[argument_and_value[0] % 6];
    if (place)
        memcpy(place, &argument_and_value[1], size); /* the low bytes come first */
}

#define ACTION_FUNCTION(name, parameters, statement) \
    static void act_##name(const struct step *step, struct call *call) \
    { \
        const uint64_t *n = step->number; \
        (void)n, (void)call; \
        statement; \
    }
ACTIONS(ACTION_FUNCTION)

/* Settings */

static struct plan plans[32];
static size_t plan_count;

static void take_step(struct step *step, char *text)
{
    static const struct {
        const char *name, *parameters;
        void (*act)(const struct step *, struct call *);
    } actions[] = {
#define ACTION_LINE(name, parameters, statement) {#name, parameters, act_##name},
        ACTIONS(ACTION_LINE)};
    const char *name = strsep(&text, ":");
    size_t i = 0, numbers = 0;
    while (i < sizeof actions / sizeof *actions && strcmp(actions[i].name, name) != 0)
        i++;
    if (i == sizeof actions / sizeof *actions)
        refuse_setting(name, "no such action");
    step->act = actions[i].act;
    for (const char *parameter = actions[i].parameters; *parameter; parameter++) {
        if (!text)
            refuse_setting(name, "a parameter is missing");
        if (*parameter == 'n') {
            step->number[numbers++] = parse_number(strsep(&text, ":"));
        } else {
            step->text = text;
            step->length = unescape(text);
            text = NULL;
        }
    }
    if (text)
        refuse_setting(name, "a parameter too many");
}

bool take_break(char *key, char *value)
{
    bool moment = strcmp(key, "load") == 0 || strcmp(key, "unload") == 0 || strcmp(key, "exit") == 0;
    if (!moment && strncmp(key, "vk", 2) != 0)
        return false;
    if (plan_count == sizeof plans / sizeof *plans)
        refuse_setting(key, "too many breaks");
    struct plan *plan = &plans[plan_count++];
    plan->key = strsep(&key, "@");
    plan->only = key ? parse_number(key) : 0;
    plan->wrong = strcmp(value, "wrong") == 0;
    if (strcmp(value, "missing") == 0)
        plan->other = "nothing by this name";
    else if (strncmp(value, "as:", 3) == 0)
        plan->other = value + 3;
    if (plan->wrong || plan->other)
        return true;
    size_t most = sizeof plan->steps / sizeof *plan->steps - 1;
    for (size_t i = 0; value; i++) {
        if (i == most)
            refuse_setting(value, "too many actions");
        take_step(&plan->steps[i], strsep(&value, ","));
    }
    return true;
}

struct plan *find_plan(const char *name)
{
    for (size_t i = 0; i < plan_count; i++)
        if (fnmatch(plans[i].key, name, 0) == 0)
            return &plans[i];
    return NULL;
}

void perform(struct plan *plan, struct call *call)
{
    if (plan && (plan->only == 0 || atomic_fetch_add(&plan->calls, 1) + 1 == plan->only))
        run(plan->steps, call);
    call_driver(call);
}
