/* Replays the calls that a program was recorded to make: threads of steps over objects that all of them share.
 *
 * No step is trusted to find what the recording found: one whose object is not there or not mapped, after a call that
 * failed, is skipped and counted. Objects have locks, so that no order of steps across threads touches what is not
 * mapped. */
#ifndef VKM_REPLAY_H
#define VKM_REPLAY_H

#include "loop.h"

enum vkm_api { VKM_V1, VKM_KHR, VKM_CORE, VKM_APIS };

enum vkm_replay_flag {
    VKM_RESERVE = 1, /* of VKM_UNMAP */
    VKM_NOTHING = 2, /* of VKM_FREE: of VK_NULL_HANDLE */
    VKM_DID_FAIL = 4 /* of calls: the recording's failed */
};

/* op is of enum vkm_op:
 *   ALLOCATE  object, size, memory_type, address: what is chained to VkMemoryAllocateInfo, or 0
 *   IMPORT    the same, of the host's own memory at `address`
 *   FREE      object, also a mapped one
 *   MAP       object, offset, size as it is passed (VK_WHOLE_SIZE too), api, other: 1 + the place it goes to, or 0,
 *             address: where in the place, whole pages
 *   UNMAP     object, api
 *   FLUSH, INVALIDATE  `count` ranges from number `other` on
 *   FIRST     object; one byte of each page of [offset, offset + size) of its allocation is written
 *   PAUSE     size: ns, offset: of which so many on the CPU
 *   SIGNAL, WAIT  other: the channel
 *   REPEAT    size: how often the steps up to END are run, other: index of END, whose `other` is that of REPEAT */
struct vkm_replay_step {
    uint32_t op, number; /* number: by which the step is told */
    uint32_t object, api, flags, memory_type;
    uint32_t other, count;
    uint64_t offset, size, address;
};

struct vkm_replay_range {
    uint64_t object, offset, size; /* as passed, VK_WHOLE_SIZE too */
};

struct vkm_replay_object {
    uint64_t memory, size;                    /* 0: absent */
    uint64_t pointer, mapped_offset, mapped_size; /* 0: not mapped */
    uint64_t kept_begin, kept_end;            /* of an unplaced map, reserved by its unmap */
    uint32_t place, api;                      /* place: 1 + where it is placed; api: that mapped it */
    uint32_t busy, unused;                    /* busy: the lock */
};

/* Addresses that maps are placed at: reserved before the replay, and again after each unmap that lets go of them. */
struct vkm_replay_place {
    uint64_t begin, length;
    unsigned char *pages; /* of each: 1 while a mapping is there, or once somebody else has it */
    uint32_t lost, busy;  /* lost: some of it to somebody else */
};

/* From one thread to another. */
struct vkm_replay_channel {
    uint32_t count, waiting;
    uint32_t apart[14];
};

struct vkm_replay_thread {
    struct vkm_replay_step *steps;
    uint64_t *left;    /* of each REPEAT: how often it still runs */
    uint64_t *scratch; /* room for the VkMappedMemoryRange of the longest FLUSH: 5 words each */
    uint32_t step_count, scratch_ranges;
};

struct vkm_replay {
    uint64_t device, allocate, free, flush, invalidate;
    uint64_t map[VKM_APIS], unmap[VKM_APIS];
    uint64_t page_size;
    struct vkm_replay_thread *threads;
    struct vkm_replay_object *objects;
    struct vkm_replay_place *places;
    struct vkm_replay_channel *channels;
    struct vkm_replay_range *ranges;
    uint32_t thread_count, object_count, place_count, channel_count, range_count;
};

/* 0, or 1 + the index of the first step of the thread that names what is not there. */
uint32_t vkm_replay_check(const struct vkm_replay *replay, uint32_t thread);
/* One thread's steps, once, after the common start; returns the first fault, which does not end it. */
int vkm_replay_run(struct vkm_replay *replay, uint32_t thread, const struct vkm_clock *clock,
                   struct vkm_control *control, struct vkm_stats *stats);
/* Once all threads are done: unmaps and frees what they left, so that the replay can be run again. */
void vkm_replay_end(struct vkm_replay *replay);

#endif
