/* The measuring loop: a flat program of steps over mapped Vulkan memory.
 *
 * Nothing here needs Vulkan's headers: functions and handles arrive as integers, and the few
 * structures are declared in vk_numbers.h.
 */
#ifndef VKM_LOOP_H
#define VKM_LOOP_H

#include <stdint.h>

/* Log-linear, 64 bins an octave: exact below 128 ns, then at most 1/128 off, up to 2^40 ns. */
#define VKM_BINS 2240

enum vkm_op {
    VKM_MAP,        /* object, offset, size, flags, address (with the placed flag) */
    VKM_UNMAP,      /* object, flags */
    VKM_FIRST,      /* write one byte of each page of [offset, offset+size) */
    VKM_WRITE,      /* fill the range with the pattern of a new round */
    VKM_READ,       /* load the range */
    VKM_VERIFY,     /* compare what the range holds of the object's last write with its pattern */
    VKM_FLUSH,      /* vkFlushMappedMemoryRanges over the range */
    VKM_INVALIDATE, /* vkInvalidateMappedMemoryRanges over the range */
    VKM_HOLD,       /* reserve [address, address+size) again after an unmap that let it go */
    VKM_RELEASE,    /* give back [address, address+size) */
    VKM_RELEASE_KEPT, /* give back the range that the object's unmap kept, if any */
    VKM_FORGET,     /* the range that an unmap kept is another object's business now */
    VKM_ALLOCATE,   /* vkAllocateMemory of size bytes; the object must be without memory */
    VKM_FREE,       /* vkFreeMemory of what VKM_ALLOCATE gave */
    VKM_PAUSE,      /* sleep for size nanoseconds */
    VKM_IMPORT,     /* vkAllocateMemory over the host's own [address, address+size), which is then touched there */
    VKM_TO_HOST,    /* transfer `address`: the device copies to the mapped range, which is then compared */
    VKM_TO_DEVICE,  /* transfer `address`: the mapped range is written, and the device copies it */
    VKM_SIGNAL,     /* this and the next ones: of a replay alone, see replay.h */
    VKM_WAIT,
    VKM_REPEAT,
    VKM_END,
    VKM_OPS
};

/* The calls whose latency is recorded. */
enum vkm_timed {
    VKM_TIMED_MAP,
    VKM_TIMED_UNMAP,
    VKM_TIMED_ALLOCATE,
    VKM_TIMED_FREE,
    VKM_TIMED_FLUSH,
    VKM_TIMED_INVALIDATE,
    VKM_TIMED_IMPORT,
    VKM_TIMED_TO_HOST,
    VKM_TIMED_TO_DEVICE,
    VKM_TIMED
};

enum vkm_pass {
    VKM_RATE,    /* no clock inside the loop */
    VKM_LATENCY, /* every call timed, every reservation looked at */
    VKM_CHECK    /* like latency, recording nothing, and live mappings compared for overlap */
};

enum vkm_fault {
    VKM_OK,
    VKM_CALL_FAILED,      /* `result` holds the VkResult */
    VKM_NULL_POINTER,     /* success, but no pointer */
    VKM_MOVED,            /* a placed map landed elsewhere */
    VKM_MISALIGNED,       /* (pointer - offset) is no multiple of minMemoryMapAlignment */
    VKM_OVERLAP,          /* two mapped objects share addresses */
    VKM_MISMATCH,         /* verify found other bytes */
    VKM_RESERVATION_LOST, /* the range was free after an unmap with reserve */
    VKM_HOLD_FAILED,      /* somebody else took the range between unmap and hold */
    VKM_RELEASE_FAILED,   /* munmap refused the range */
    VKM_RESERVATION_REUSED, /* an unplaced map returned an address inside a range that is still reserved */
    VKM_STILL_MAPPED        /* hold failed, because the driver's own mapping still stands there */
};

#define VKM_NOT_COHERENT 1u /* flag of VKM_TO_HOST and VKM_TO_DEVICE: flush before, invalidate after */

/* Offsets and sizes are bytes of the allocation. `whole` passes VK_WHOLE_SIZE for `size`. */
struct vkm_step {
    uint32_t op, object, flags, whole;
    uint64_t offset, size, address;
};

struct vkm_object {
    uint64_t memory, allocation_size; /* VkDeviceMemory, bytes */
    uint64_t pointer, mapped_offset, mapped_size;
    uint64_t kept_begin, kept_end; /* reserved by the latest unmap, for VKM_RELEASE_KEPT */
    uint64_t round; /* writes so far; part of the pattern */
    uint64_t written_begin, written_end; /* by the last write */
    uint64_t allocate_next; /* what VKM_ALLOCATE chains to VkMemoryAllocateInfo, or 0 */
    uint32_t first_call, end_call; /* among these steps are all whose calls name the memory */
    uint32_t owned;         /* memory is from VKM_ALLOCATE or VKM_IMPORT */
    uint32_t imported;      /* from VKM_IMPORT: pointer is the host's own, and no call unmaps it */
};

/* The structures that one step passes to the driver, laid out once by vkm_prepare. */
struct vkm_call {
    uint64_t words[10];
};

/* What a transfer submits, recorded by Python: addresses of VkSubmitInfo. The device's bytes for VKM_TO_HOST are the
 * pattern of `key`; submits[1] copies them from VKM_SHIFT on, so that the two never look alike. Of VKM_TO_DEVICE
 * submits[1] copies back what submits[0] has copied, to `back`, an address in coherent memory. */
#define VKM_SHIFT 64
struct vkm_transfer {
    uint64_t submits[2];
    uint64_t key, back, turns;
};

struct vkm_program {
    uint64_t device, map, unmap, flush, invalidate; /* VkDevice and function addresses */
    uint64_t allocate, free;                        /* for VKM_ALLOCATE and VKM_FREE */
    uint32_t memory_type;                           /* of VKM_ALLOCATE */
    uint32_t version;                               /* 1: vkMapMemory, 2: vkMapMemory2 */
    uint32_t step_count, cycle_steps, object_count; /* an iteration runs the next cycle_steps steps */
    uint32_t next_step;
    uint64_t map_alignment, page_size, seed;
    double interval_ns; /* latency pass: a cycle is due so often; 0: each follows the one before */
    uint32_t width, access; /* of VKM_WRITE and VKM_READ: enum vkm_width and vkm_access of access.h */
    uint32_t
        write_ways[64]; /* by the power of two of the size: the enum vkm_write_way that is best, 0: not known yet */
    struct vkm_step *steps;
    struct vkm_call *calls;
    struct vkm_object *objects;
    uint64_t queue, submit, wait, reset, fence; /* VkQueue, functions, VkFence: for transfers */
    struct vkm_transfer *transfers;
    uint32_t transfer_count;
};

enum { VKM_STEPPED = 16 };

struct vkm_clock {
    uint32_t kind; /* 0: clock_gettime(CLOCK_MONOTONIC), 1: time-stamp counter, 2: arm64 generic timer, from
                    * VKM_STEPPED on: clock_gettime in steps of so many ns, for tests */
    uint64_t mult; /* ns = ticks * mult >> 32 */
};

struct vkm_histogram {
    uint64_t count, sum_ns, min_ns, max_ns, overflow;
    uint64_t bins[VKM_BINS];
};

/* What a replay counts besides. The first fault's place is kept, since a replay goes on after it. */
enum { VKM_RESULTS = 16 };
struct vkm_replayed {
    uint32_t replaying, fault_op, fault_object, fault_api;
    uint64_t made[VKM_TIMED];   /* calls, those that failed among them */
    uint64_t skipped;           /* steps that were not made, after a call that failed */
    uint64_t differs;           /* calls that succeeded where the recording's failed; undone at once */
    uint64_t wait_ns;           /* for signals */
    int32_t results[VKM_RESULTS];
    uint64_t failures[VKM_RESULTS]; /* calls that failed where the recording's succeeded, by these results */
};

/* One thread's results of one job. Lives in memory shared with the parent process. */
struct vkm_stats {
    uint32_t at_step, at_op, at_object, running; /* what the thread is doing: read by the parent when it dies */
    uint32_t fault, fault_step;
    int32_t result;
    uint32_t at_api; /* of a replay's step: 1 + enum vkm_api of replay.h */
    uint64_t iterations;              /* all passes: the parent's heartbeat */
    uint64_t rate_pairs, rate_ns;
    uint64_t slice_pairs, slice_ns;   /* the latest rate pass alone */
    uint64_t write_bytes, write_ns, read_bytes, read_ns;
    uint64_t first_pages, first_ns; /* by VKM_FIRST, which is no bandwidth */
    uint64_t first_mappings, first_minor_faults, first_major_faults; /* of its timed steps, faults inside them alone */
    uint64_t huge_bytes, looked_bytes; /* of the first of them: bytes that a huge page maps, of so many */
    uint64_t verified_bytes, mismatches, bad_offset, bad_expected, bad_found;
    uint64_t minor_faults, major_faults;
    uint64_t write_ways; /* every enum vkm_write_way that wrote the pattern */
    uint64_t missed_cycles; /* were due, but the pass was long over its time */
    struct vkm_histogram calls[VKM_TIMED];
    struct vkm_histogram cycle_ns; /* with interval_ns: from the moment a cycle was due to its end */
    struct vkm_replayed replayed;
};

/* Shared by the threads of a pass and by the parent. */
struct vkm_control {
    uint32_t stop; /* set by the parent to end the pass early */
    uint32_t arrived; /* threads that reached the common start */
    uint32_t threads;
};

/* 0, or 1 + the index of the first step that would touch or map out of bounds, map twice, or end a cycle
 * with an object mapped. */
uint32_t vkm_check(const struct vkm_program *program);
void vkm_prepare(struct vkm_program *program);
/* Puts the memory of one object, which has changed, into its calls. */
void vkm_prepare_object(struct vkm_program *program, uint32_t object);
/* The steps that change objects instead of mapping them (objects.c); each returns enum vkm_fault. timed: by which
 * clock their calls are recorded, NULL for not at all. */
void vkm_object_free(struct vkm_program *program, struct vkm_object *object);
int vkm_object_step(struct vkm_program *program, uint32_t i, struct vkm_stats *stats, const struct vkm_clock *timed);
/* The steps in which the device copies (transfers.c). record: by the clock; check: that the device has what it copied.
 */
int vkm_transfer_step(struct vkm_program *program, uint32_t i, struct vkm_stats *stats, const struct vkm_clock *clock,
                      int record, int check);
/* The way to write a pattern of this size there, chosen by measuring when one of about this size is written first. */
uint32_t vkm_write_way(struct vkm_program *program, const struct vkm_clock *clock, unsigned char *bytes,
                       uint64_t offset, uint64_t size, uint64_t key);
/* Runs the program until max_iterations, max_ns or control->stop; returns enum vkm_fault. */
int vkm_run(struct vkm_program *program, const struct vkm_clock *clock, struct vkm_control *control,
            struct vkm_stats *stats, uint32_t pass, uint64_t max_iterations, uint64_t max_ns);
/* Until as many threads as there are have called it, or the pass is stopped. */
void vkm_wait_for_start(struct vkm_control *control);
/* Writes one byte of each page of [bytes, bytes + size); returns the pages. */
uint64_t vkm_touch_pages(unsigned char *bytes, uint64_t size, uint64_t page, unsigned char value);
/* Unmaps whatever a stopped program left mapped, and frees what it left allocated. */
void vkm_unwind(struct vkm_program *program);

/* The CPU's counter where it is right: its rate does not change, is what the machine states of it if it does, and all
 * CPUs read the same. Else clock_gettime. */
struct vkm_clock vkm_clock_choose(uint32_t counter_is_trusted);
/* Whether a measured rate is the one that is stated, to a thousandth. */
int vkm_rates_agree(double ns_per_tick, uint64_t stated_hz);
uint64_t vkm_clock_ns(const struct vkm_clock *clock);
/* Fills histogram with back-to-back reads of the clock. */
void vkm_clock_floor(const struct vkm_clock *clock, struct vkm_histogram *histogram, uint32_t reads);

/* ns of the smallest change between two readings of a clock that stands still for longer than a reading takes; 0 where
 * no two readings are alike, whose steps are finer. */
uint64_t vkm_clock_step(const struct vkm_clock *clock);

uint32_t vkm_bin(uint64_t ns);
void vkm_record(struct vkm_histogram *histogram, uint64_t ns);
void vkm_merge(struct vkm_histogram *into, const struct vkm_histogram *from);

/* Address ranges. address 0: anywhere. Returns 0 where the range is taken. */
uint64_t vkm_reserve_range(uint64_t address, uint64_t length);
int vkm_release_range(uint64_t address, uint64_t length);
int vkm_range_is_reserved(uint64_t address, uint64_t length);
/* Whether a file is mapped in some part of it: a driver's, since memory that a process takes meanwhile has none. */
int vkm_range_shows_a_file(uint64_t address, uint64_t length);
/* Bytes of the range that huge pages map, as /proc/self/smaps says: nothing of a device's own memory. */
uint64_t vkm_huge_bytes(uint64_t address, uint64_t length);
enum vkm_refusal {
    VKM_REFUSE_FIXED, /* mmap and mremap at a fixed address */
    VKM_REFUSE_INACCESSIBLE, /* mmap and mprotect with PROT_NONE */
    VKM_REFUSE_ALL /* mmap, mremap and mprotect */
};
/* From now on the kernel refuses this thread, and those that it starts, these calls (ENOMEM): the ways that drivers
 * map and reserve in. Returns 0 where that cannot be arranged. */
int vkm_refuse_maps(uint32_t refusal);
/* The seccomp filter that does it, for tests where no kernel takes it: its instructions, 8 bytes each, of which there
 * are at most VKM_FILTER_MOST. Returns how many. */
enum { VKM_FILTER_MOST = 16 };
uint32_t vkm_refusal_filter(uint32_t refusal, unsigned char *instructions);

/* Drivers without a device (null_driver.c); a memory handle is the address of the host bytes that it maps to.
 * The null driver does nothing: the call floor. The faulty one is for the loop's own tests. */
struct vkm_null_driver {
    uint64_t map, unmap, map2, unmap2, ranges, allocate, free; /* the last two are the C library's malloc and free */
    uint64_t submit, wait, reset; /* VkSubmitInfo is a struct vkm_null_copy, done at once */
};
struct vkm_null_copy {
    uint64_t to, from, size;
};
struct vkm_null_driver vkm_null_driver(void);
struct vkm_null_driver vkm_faulty_driver(void);
enum vkm_null_fault {
    VKM_NULL_NONE,
    VKM_NULL_MAP_FAILS,
    VKM_NULL_UNMAP_FAILS,
    VKM_NULL_BIT_FLIPS,
    VKM_NULL_MOVES,
    VKM_NULL_MISALIGNS,
    VKM_NULL_NO_POINTER,
    VKM_NULL_SHARES,
    VKM_NULL_SUBMIT_FAILS,
    VKM_NULL_WAIT_FAILS,
    VKM_NULL_COPIES_NOTHING
};
/* The fault strikes at the call-th map (or unmap, submit, wait) from now, once; 0 calls: never. */
void vkm_null_inject(uint32_t fault, uint64_t call);

#endif
