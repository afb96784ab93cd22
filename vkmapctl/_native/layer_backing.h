/* Host memory that the process can map as often and wherever it likes: a memfd, mapped the way a kernel
 * driver's buffer object is. */
#ifndef VKMAPCTL_LAYER_BACKING_H
#define VKMAPCTL_LAYER_BACKING_H

#include <stdbool.h>
#include <stddef.h>

struct backing {
    int fd;
    size_t size;
    void *view; /* the whole of it, for the driver, as long as the backing lives */
};

struct mapping {
    char *pointer; /* NULL: not mapped */
    size_t size;
};

size_t page_size(void);
size_t round_up(size_t size, size_t power_of_two);

/* The pages that hold a mapping. */
char *mapping_first_page(const struct mapping *mapping);
size_t mapping_length(const struct mapping *mapping);

bool backing_create(struct backing *backing, size_t size);
void backing_destroy(struct backing *backing);

/* Maps size bytes from offset; returns where byte `offset` lies, or NULL. With an address it lies there:
 * whatever is mapped there is replaced, and both address and offset must be multiples of the page size. */
void *backing_map(const struct backing *backing, size_t offset, size_t size, void *address);
bool backing_unmap(const struct mapping *mapping);
/* Unmaps, but keeps the address range taken. On failure the mapping is as it was. */
bool backing_reserve(const struct mapping *mapping);
/* The same, by moving a reservation from elsewhere to there. Takes a refused reservation for a success. */
bool backing_reserve_blindly(const struct mapping *mapping);

#endif
