/* The loop in several threads on the null driver, as `stress --threads` runs it: for ThreadSanitizer.
 *
 * A watcher reads the counters meanwhile, as the parent process does, and stops the last pass. */
#define _GNU_SOURCE
#include "loop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, BYTES = 8192, STEPS = 4, ITERATIONS = 4000 };

struct worker {
    pthread_t thread;
    struct vkm_program program;
    struct vkm_step steps[STEPS];
    struct vkm_call calls[STEPS];
    struct vkm_object object;
    struct vkm_stats *stats;
    struct vkm_control *control;
    const struct vkm_clock *clock;
    uint32_t pass;
    uint64_t iterations;
    int fault;
};

static void set_up(struct worker *worker, unsigned char *bytes, uint32_t version)
{
    struct vkm_null_driver driver = vkm_null_driver();
    struct vkm_step steps[STEPS] = {
        {.op = VKM_MAP, .size = BYTES},
        {.op = VKM_VERIFY, .size = BYTES},
        {.op = VKM_WRITE, .size = BYTES},
        {.op = VKM_UNMAP},
    };
    memcpy(worker->steps, steps, sizeof steps);
    worker->object = (struct vkm_object){.memory = (uint64_t)(uintptr_t)bytes, .allocation_size = BYTES};
    worker->program = (struct vkm_program){
        .map = version == 1 ? driver.map : driver.map2,
        .unmap = version == 1 ? driver.unmap : driver.unmap2,
        .flush = driver.ranges,
        .invalidate = driver.ranges,
        .version = version,
        .step_count = STEPS,
        .cycle_steps = STEPS,
        .object_count = 1,
        .map_alignment = 64,
        .page_size = 4096,
        .seed = 1,
        .steps = worker->steps,
        .calls = worker->calls,
        .objects = &worker->object,
    };
    if (vkm_check(&worker->program))
        abort();
    vkm_prepare(&worker->program);
}

static void *run(void *data)
{
    struct worker *worker = data;
    worker->fault = vkm_run(&worker->program, worker->clock, worker->control, worker->stats, worker->pass,
                            worker->iterations, UINT64_MAX);
    return NULL;
}

/* One pass of all threads; stops it after a while where iterations is UINT64_MAX. Returns the faults. */
static int pass(struct worker *workers, uint32_t kind, uint64_t iterations)
{
    struct vkm_control *control = workers[0].control;
    int faults = 0;
    *control = (struct vkm_control){.threads = THREADS};
    for (int i = 0; i < THREADS; i++) {
        workers[i].pass = kind;
        workers[i].iterations = iterations;
        pthread_create(&workers[i].thread, NULL, run, &workers[i]);
    }
    if (iterations == UINT64_MAX) {
        nanosleep(&(struct timespec){0, 200000000}, NULL);
        __atomic_store_n(&control->stop, 1, __ATOMIC_RELAXED);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        faults += workers[i].fault != VKM_OK;
    }
    return faults;
}

int main(void)
{
    struct vkm_clock clock = vkm_clock_choose(0);
    struct vkm_control control;
    struct worker *workers = calloc(THREADS, sizeof *workers);
    struct vkm_stats *stats = calloc(THREADS, sizeof *stats);
    unsigned char *bytes = aligned_alloc(4096, THREADS * BYTES);
    int faults = 0;
    if (!workers || !stats || !bytes)
        return 2;
    memset(bytes, 0, THREADS * BYTES);
    for (uint32_t version = 1; version <= 2; version++) {
        for (int i = 0; i < THREADS; i++) {
            workers[i] = (struct worker){.stats = &stats[i], .control = &control, .clock = &clock};
            set_up(&workers[i], bytes + i * BYTES, version);
        }
        faults += pass(workers, VKM_CHECK, 1);
        faults += pass(workers, VKM_RATE, ITERATIONS);
        faults += pass(workers, VKM_LATENCY, ITERATIONS);
        faults += pass(workers, VKM_RATE, UINT64_MAX);
    }
    uint64_t pairs = 0;
    for (int i = 0; i < THREADS; i++)
        pairs += stats[i].rate_pairs;
    printf("%d threads, %llu pairs, %d faults\n", THREADS, (unsigned long long)pairs, faults);
    return faults || pairs < 2ull * THREADS * ITERATIONS;
}
