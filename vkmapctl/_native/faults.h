/* Page faults of another process. */
#ifndef VKM_FAULTS_H
#define VKM_FAULTS_H

#include <stdint.h>

struct vkm_page_fault {
    uint64_t time, address; /* ns */
    uint32_t thread, process;
};

struct vkm_fault_watch;

/* Watches a process, from the moment that it executes a program, and its children. bytes: of memory for each CPU, a
 * power of two and pages of the machine. NULL, and errno's value in *error, where the kernel does not allow it. */
struct vkm_fault_watch *vkm_faults_open(int pid, uint64_t bytes, uint64_t page_size, int *error);
/* Takes what was seen since, at most so many, with times in ns since base_ns, a moment of CLOCK_MONOTONIC. Adds to
 * *lost what the kernel found no room for. */
uint64_t vkm_faults_take(struct vkm_fault_watch *watch, struct vkm_page_fault *faults, uint64_t most, uint64_t base_ns,
                         uint64_t *lost);
/* Puts them into the order of time. */
void vkm_faults_sort(struct vkm_page_fault *faults, uint64_t count);
void vkm_faults_close(struct vkm_fault_watch *watch);

#endif
