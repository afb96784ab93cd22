/* The loop in several threads on the null driver, as `stress --threads` runs it, and a replay: for ThreadSanitizer.
 *
 * A watcher reads the counters meanwhile, as the parent process does, and stops the last pass. */
#define _GNU_SOURCE
#include "loop.h"
#include "replay.h"

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

enum { TURNS = 2000, REPLAY_STEPS = 8, RING = THREADS };

struct player {
    pthread_t thread;
    struct vkm_replay *replay;
    struct vkm_control *control;
    struct vkm_stats *stats;
    const struct vkm_clock *clock;
    uint32_t number;
};

static void *play(void *data)
{
    struct player *player = data;
    vkm_replay_run(player->replay, player->number, player->clock, player->control, player->stats);
    return NULL;
}

/* Each thread waits for the one before it, frees what that one has mapped, and makes the next object: a ring. One that
 * is ordered by signals alone, and then one without any, whose steps are skipped where they find nothing. */
static uint64_t replay(const struct vkm_clock *clock, struct vkm_stats *stats, int ordered)
{
    struct vkm_null_driver driver = vkm_null_driver();
    static struct vkm_replay_step steps[THREADS][REPLAY_STEPS];
    static uint64_t left[THREADS][REPLAY_STEPS], scratch[THREADS][5];
    struct vkm_replay_thread threads[THREADS];
    struct vkm_replay_channel channels[RING] = {{.count = 0}};
    struct vkm_replay_object object = {.memory = 0};
    struct vkm_replay_range range = {.size = BYTES};
    struct vkm_control control = {.threads = THREADS};
    struct player players[THREADS];
    struct vkm_replay replay = {
        .allocate = driver.allocate,
        .free = driver.free,
        .flush = driver.ranges,
        .invalidate = driver.ranges,
        .map = {driver.map, 0, driver.map2},
        .unmap = {driver.unmap, 0, driver.unmap2},
        .page_size = 4096,
        .threads = threads,
        .objects = &object,
        .channels = channels,
        .ranges = &range,
        .thread_count = THREADS,
        .object_count = 1,
        .channel_count = RING,
        .range_count = 1,
    };
    uint64_t calls = 0;
    channels[0].count = 1; /* the first may begin */
    for (uint32_t i = 0; i < THREADS; i++) {
        const uint32_t wait = ordered ? VKM_WAIT : VKM_PAUSE, signal = ordered ? VKM_SIGNAL : VKM_PAUSE;
        struct vkm_replay_step one[REPLAY_STEPS] = {
            {.op = VKM_REPEAT, .size = TURNS, .other = 7},
            {.op = wait, .other = i},
            {.op = VKM_FREE},
            {.op = VKM_ALLOCATE, .size = BYTES},
            {.op = VKM_MAP, .size = BYTES, .api = VKM_CORE},
            {.op = VKM_FIRST, .size = BYTES},
            {.op = signal, .other = (i + 1) % RING},
            {.op = VKM_END},
        };
        memcpy(steps[i], one, sizeof one);
        threads[i] = (struct vkm_replay_thread){steps[i], left[i], scratch[i], REPLAY_STEPS, 1};
        if (vkm_replay_check(&replay, i))
            abort();
        memset(&stats[i], 0, sizeof stats[i]);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        players[i] = (struct player){
            .replay = &replay, .control = &control, .stats = &stats[i], .clock = clock, .number = i};
        pthread_create(&players[i].thread, NULL, play, &players[i]);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(players[i].thread, NULL);
        calls += stats[i].replayed.made[VKM_TIMED_MAP];
    }
    vkm_replay_end(&replay);
    return calls;
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
    uint64_t ordered = replay(&clock, stats, 1), unordered = replay(&clock, stats, 0);
    printf("%d threads, %llu pairs, %d faults, %llu and %llu maps replayed\n", THREADS, (unsigned long long)pairs,
           faults, (unsigned long long)ordered, (unsigned long long)unordered);
    return faults || pairs < 2ull * THREADS * ITERATIONS || ordered != THREADS * TURNS || !unordered;
}
