/* Page faults of a program and its children, by perf_event_open(2): each with its moment, address and thread. */
#define _GNU_SOURCE
#include "faults.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct buffer {
    int fd;
    struct perf_event_mmap_page *head; /* and the data behind it */
};

struct vkm_fault_watch {
    size_t page, data; /* bytes of a page, and of each buffer's data, a power of two */
    int count;
    struct buffer buffers[];
};

static int open_on(int pid, int cpu)
{
    struct perf_event_attr wanted = {
        .type = PERF_TYPE_SOFTWARE,
        .size = sizeof wanted,
        .config = PERF_COUNT_SW_PAGE_FAULTS,
        .sample_period = 1,
        .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR,
        .disabled = 1,
        .inherit = 1,
        .enable_on_exec = 1,
        .exclude_kernel = 1, /* what kernel.perf_event_paranoid 2 allows to anyone */
        .exclude_hv = 1,
        .use_clockid = 1,
        .clockid = CLOCK_MONOTONIC,
    };
    return (int)syscall(SYS_perf_event_open, &wanted, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

struct vkm_fault_watch *vkm_faults_open(int pid, uint64_t bytes, uint64_t page_size, int *error)
{
    int cpus = (int)sysconf(_SC_NPROCESSORS_CONF);
    struct vkm_fault_watch *watch = calloc(1, sizeof *watch + (size_t)cpus * sizeof watch->buffers[0]);
    *error = ENOMEM;
    if (!watch)
        return NULL;
    watch->page = page_size;
    watch->data = bytes;
    *error = ENODEV;
    for (int cpu = 0; cpu < cpus; cpu++) {
        int fd = open_on(pid, cpu);
        if (fd < 0 && errno == ENODEV)
            continue; /* a CPU that is off */
        void *memory = fd < 0 ? MAP_FAILED
                              : mmap(NULL, watch->page + watch->data, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory == MAP_FAILED) {
            *error = errno;
            if (fd >= 0)
                close(fd);
            vkm_faults_close(watch);
            return NULL;
        }
        watch->buffers[watch->count++] = (struct buffer){fd, memory};
    }
    if (watch->count)
        return watch;
    vkm_faults_close(watch);
    return NULL;
}

static void copy_out(const struct vkm_fault_watch *watch, const struct buffer *buffer, uint64_t at, void *to,
                     size_t size)
{
    const char *data = (const char *)buffer->head + watch->page;
    size_t begin = at & (watch->data - 1), first = watch->data - begin;
    memcpy(to, data + begin, size < first ? size : first);
    if (size > first)
        memcpy((char *)to + first, data, size - first);
}

static uint64_t take_from(const struct vkm_fault_watch *watch, const struct buffer *buffer,
                          struct vkm_page_fault *faults, uint64_t most, uint64_t base_ns, uint64_t *lost)
{
    struct {
        uint32_t pid, tid;
        uint64_t time, address;
    } sample;
    struct {
        uint64_t id, lost;
    } missed;
    uint64_t head = __atomic_load_n(&buffer->head->data_head, __ATOMIC_ACQUIRE), tail = buffer->head->data_tail;
    uint64_t taken = 0;
    while (tail < head && taken < most) {
        struct perf_event_header record;
        copy_out(watch, buffer, tail, &record, sizeof record);
        if (record.type == PERF_RECORD_SAMPLE) {
            copy_out(watch, buffer, tail + sizeof record, &sample, sizeof sample);
            uint64_t ns = sample.time > base_ns ? sample.time - base_ns : 0;
            faults[taken++] = (struct vkm_page_fault){ns, sample.address, sample.tid, sample.pid};
        } else if (record.type == PERF_RECORD_LOST) {
            copy_out(watch, buffer, tail + sizeof record, &missed, sizeof missed);
            *lost += missed.lost;
        }
        tail += record.size;
    }
    __atomic_store_n(&buffer->head->data_tail, tail, __ATOMIC_RELEASE);
    return taken;
}

uint64_t vkm_faults_take(struct vkm_fault_watch *watch, struct vkm_page_fault *faults, uint64_t most, uint64_t base_ns,
                         uint64_t *lost)
{
    uint64_t taken = 0;
    for (int i = 0; i < watch->count; i++)
        taken += take_from(watch, &watch->buffers[i], faults + taken, most - taken, base_ns, lost);
    return taken;
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = ((const struct vkm_page_fault *)a)->time, y = ((const struct vkm_page_fault *)b)->time;
    return (x > y) - (x < y);
}

void vkm_faults_sort(struct vkm_page_fault *faults, uint64_t count)
{
    qsort(faults, count, sizeof *faults, by_time);
}

void vkm_faults_close(struct vkm_fault_watch *watch)
{
    for (int i = 0; i < watch->count; i++) {
        munmap(watch->buffers[i].head, watch->page + watch->data);
        close(watch->buffers[i].fd);
    }
    free(watch);
}
