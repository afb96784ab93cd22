#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "layer_backing.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t round_up(size_t size, size_t power_of_two)
{
    return (size + power_of_two - 1) & ~(power_of_two - 1);
}

static size_t offset_in_page(size_t position)
{
    return position & (page_size() - 1);
}

char *mapping_first_page(const struct mapping *mapping)
{
    return mapping->pointer - offset_in_page((uintptr_t)mapping->pointer);
}

size_t mapping_length(const struct mapping *mapping)
{
    return round_up(offset_in_page((uintptr_t)mapping->pointer) + mapping->size, page_size());
}

bool backing_create(struct backing *backing, size_t size)
{
    backing->fd = memfd_create("vkmapctl-layer", MFD_CLOEXEC);
    if (backing->fd < 0)
        return false;
    backing->size = size;
    backing->view = MAP_FAILED;
    if (ftruncate(backing->fd, (off_t)size) == 0)
        backing->view = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, backing->fd, 0);
    if (backing->view == MAP_FAILED) {
        close(backing->fd);
        return false;
    }
    return true;
}

void backing_destroy(struct backing *backing)
{
    munmap(backing->view, backing->size);
    close(backing->fd);
}

void *backing_map(const struct backing *backing, size_t offset, size_t size, void *address)
{
    size_t lead = address ? 0 : offset_in_page(offset);
    int fixed = address ? MAP_FIXED : 0;
    char *base = mmap(address, round_up(lead + size, page_size()), PROT_READ | PROT_WRITE, MAP_SHARED | fixed,
                      backing->fd, (off_t)(offset - lead));
    return base == MAP_FAILED ? NULL : base + lead;
}

bool backing_unmap(const struct mapping *mapping)
{
    return munmap(mapping_first_page(mapping), mapping_length(mapping)) == 0;
}

bool backing_reserve(const struct mapping *mapping)
{
    return mmap(mapping_first_page(mapping), mapping_length(mapping), PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

bool backing_reserve_blindly(const struct mapping *mapping)
{
    size_t length = mapping_length(mapping);
    void *elsewhere = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (elsewhere == MAP_FAILED)
        return true;
    if (mremap(elsewhere, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, mapping_first_page(mapping)) != MAP_FAILED)
        return true;
    munmap(elsewhere, length);
    return false;
}
