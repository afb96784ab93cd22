/* The ring that the recording layer writes its events to, and the recorder reads: one file a process, in shared memory,
 * so that what was recorded outlives the program. */
#ifndef VKM_RING_H
#define VKM_RING_H

#include <stdint.h>

#define VKM_RING_MAGIC 0x00314345524d4b56 /* VKMREC1 */
#define VKM_RING_HEAD 4096

enum vkm_called {
    VKM_CALLED_ALLOCATE,
    VKM_CALLED_FREE,
    VKM_CALLED_MAP,
    VKM_CALLED_MAP2,
    VKM_CALLED_MAP2_KHR,
    VKM_CALLED_UNMAP,
    VKM_CALLED_UNMAP2,
    VKM_CALLED_UNMAP2_KHR,
    VKM_CALLED_FLUSH,
    VKM_CALLED_INVALIDATE,
    VKM_CALLED_CREATE_DEVICE,
    VKM_CALLED_DESTROY_DEVICE,
    VKM_CALLED_SUBMIT,
    VKM_CALLED_SUBMIT2,
    VKM_CALLED_SUBMIT2_KHR,
    VKM_CALLED_PRESENT,
    VKM_CALLED_GAP, /* no call: the thread was outside of recorded calls for so long */
    VKM_CALLED /* how many */
};

enum vkm_mark {
    VKM_MARK_PLACED = 1,
    VKM_MARK_RESERVE = 2,
    VKM_MARK_FURTHER = 4, /* one more range of the flush or invalidate before it */
    VKM_MARK_DEDICATED = 8,
    VKM_MARK_IMPORTED_HOST = 16,
    VKM_MARK_EXPORTED = 32,
    VKM_MARK_DEVICE_ADDRESS = 64,
    VKM_MARK_IMPORTED = 128
};

/* One call; what its fields mean is said in model/recording.py. 64 bytes.
 * state: 0, or twice the lap of the ring, which is counted from 1: the call is under way; and one more: it has
 * returned. */
struct vkm_event {
    uint32_t state;
    uint8_t call, marks;
    uint16_t device;
    uint32_t thread;
    int32_t result;
    uint64_t begin, ticks;
    uint64_t object, offset, size, pointer;
};

/* A call that a thread is in, or none (call 0; else enum vkm_called and 1): what is left of one that never returned. */
struct vkm_under_way {
    uint32_t thread;
    uint16_t call, device;
    uint64_t begin, object;
    uint64_t unused;
};

/* Threads that came after so many have no place for it. */
#define VKM_UNDER_WAY 100

/* The beginning of the file, on any page size; what changes often has cache lines of its own. Capacity in events.
 * Programs of 32 bits have the same layout: every field stands at a multiple of its size. clock_kind, clock_mult:
 * struct vkm_clock. start_ticks and start_ns are one moment, by that clock and by CLOCK_MONOTONIC. */
struct vkm_ring {
    uint64_t magic; /* written last, and read first */
    uint32_t capacity, pid, parent, forked;
    uint32_t clock_kind, page_size;
    uint64_t clock_mult, start_ticks, start_ns;
    char name[16];
    uint64_t unused1[6];
    uint64_t head; /* events that were begun */
    uint64_t dropped;
    uint64_t unused2[6];
    uint64_t tail; /* events that were read */
    uint32_t threads, unused3[13];
    struct vkm_under_way under_way[VKM_UNDER_WAY];
};

/* The recorder's side. Whether the memory of so many bytes holds a ring. */
int vkm_ring_is_sound(const struct vkm_ring *ring, uint64_t bytes);
/* Takes the events that have returned, at most so many, as far as no open one comes before them; with `ended`, open
 * ones too. Their times become ns since base_ns, a moment of CLOCK_MONOTONIC, and their state 1, or 0 for an open one.
 */
uint64_t vkm_ring_take(struct vkm_ring *ring, struct vkm_event *events, uint64_t most, uint64_t base_ns, int ended);
/* The calls that threads of a process which has ended were in, those aside that have an event: at most VKM_UNDER_WAY.
 */
uint64_t vkm_ring_under_way(const struct vkm_ring *ring, struct vkm_event *events, uint64_t base_ns);

#endif
