/* What goes wrong, and when: lists of actions in Vulkan commands and at moments of the library's life. */
#define _GNU_SOURCE
#include "icd.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Name, parameters (n for a number, t for a text; colons divide them), and what it does with them. */
#define ACTIONS(X) \
    X(crash, "", *(volatile int *)nowhere = 0) \
    X(abort, "", abort()) \
    X(hang, "", wait_for_ever()) \
    X(exit, "n", exit((int)n[0]))               /* status; exit(3) runs handlers and destructors */ \
    X(quit, "n", _exit((int)n[0]))              /* status */ \
    X(raise, "n", raise((int)n[0]))             /* signal */ \
    X(sleep, "n", sleep_for(n[0]))              /* milliseconds */ \
    X(write, "nt", write_text((int)n[0], step)) /* file descriptor, bytes */ \
    X(fill, "nn", fill((int)n[0], n[1]))        /* file descriptor, how many bytes */ \
    X(close, "n", close((int)n[0]))             /* file descriptor */ \
    X(fork, "", in_process(step + 1, call))     /* what follows is done by a process of its own, which then ends */ \
    X(thread, "", in_thread(step + 1, call))    /* what follows is done by a thread of its own */ \
    X(touch, "t", close(creat(step->text, 0666)))   /* path of a file, by which one process can tell the next */ \
    X(when, "t", call->stopped = !exists(step))     /* path of a file; where there is none, nothing follows */ \
    X(call, "", call_driver(call))              /* what follows comes after the driver's part */ \
    X(return, "n", answer(call, n[0]))          /* result; the driver is not called any more */ \
    X(u32, "nn", store(call, n, 4))             /* argument (from 0) that points to where it goes, value */ \
    X(u64, "nn", store(call, n, 8))

static void run(const struct step *step, struct call *call)
{
    for (; step->act && !call->stopped; step++)
        step->act(step, call);
}

/* Actions */

static volatile uintptr_t nowhere;

static void wait_for_ever(void)
{
    while (pause())
        ;
}

static void sleep_for(uint64_t milliseconds)
{
    struct timespec left = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
}

static void write_all(int fd, const char *bytes, size_t length)
{
    ssize_t written;
    for (; length > 0 && (written = write(fd, bytes, length)) > 0; length -= (size_t)written)
        bytes += written;
}

static void write_text(int fd, const struct step *step)
{
    write_all(fd, step->text, step->length);
}

static void fill(int fd, uint64_t size)
{
    static const char line[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
    for (; size >= 64; size -= 64)
        write_all(fd, line, 64);
    write_all(fd, line, (size_t)size);
}

static bool exists(const struct step *step)
{
    return access(step->text, F_OK) == 0;
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
