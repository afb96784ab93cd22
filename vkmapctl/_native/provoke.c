#define _GNU_SOURCE
#include "loop.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define THIS_ARCH AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

#if defined(SYS_mmap2) /* in place of an mmap whose arguments are in memory, where no filter sees them */
#define CALL_MMAP SYS_mmap2
#else
#define CALL_MMAP SYS_mmap
#endif

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define IF_EQUAL(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise)
#define IF_ANY_BIT(bits, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, then, otherwise)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM)
/* Another architecture's calls have other numbers. */
#define LOAD_CALL LOAD(arch), IF_EQUAL(THIS_ARCH, 1, 0), ALLOW, LOAD(nr)

#ifdef THIS_ARCH
static unsigned short copied(struct sock_filter *to, const struct sock_filter *filter, size_t bytes)
{
    memcpy(to, filter, bytes);
    return (unsigned short)(bytes / sizeof *filter);
}

/* Returns how many instructions there are, at most VKM_FILTER_MOST. */
static unsigned short filter_for(uint32_t refusal, struct sock_filter *to)
{
    struct sock_filter fixed[] = {
        LOAD_CALL,
        IF_EQUAL(CALL_MMAP, 2, 0),
        IF_EQUAL(SYS_mremap, 3, 0),
        ALLOW,
        LOAD(args[3]), /* of mmap: flags */
        IF_ANY_BIT(MAP_FIXED | MAP_FIXED_NOREPLACE, 3, 2),
        LOAD(args[3]), /* of mremap: flags */
        IF_ANY_BIT(MREMAP_FIXED, 1, 0),
        ALLOW,
        REFUSE,
    };
    struct sock_filter inaccessible[] = {
        LOAD_CALL,
        IF_EQUAL(CALL_MMAP, 2, 0),
        IF_EQUAL(SYS_mprotect, 1, 0),
        ALLOW,
        LOAD(args[2]), /* of both: the protection */
        IF_EQUAL(PROT_NONE, 1, 0),
        ALLOW,
        REFUSE,
    };
    struct sock_filter all[] = {
        LOAD_CALL, IF_EQUAL(CALL_MMAP, 3, 0), IF_EQUAL(SYS_mremap, 2, 0), IF_EQUAL(SYS_mprotect, 1, 0), ALLOW, REFUSE,
    };
    switch (refusal) {
    case VKM_REFUSE_FIXED: return copied(to, fixed, sizeof fixed);
    case VKM_REFUSE_INACCESSIBLE: return copied(to, inaccessible, sizeof inaccessible);
    default: return copied(to, all, sizeof all);
    }
}
#else
static unsigned short filter_for(uint32_t refusal, struct sock_filter *to)
{
    (void)refusal, (void)to;
    return 0;
}
#endif

uint32_t vkm_refusal_filter(uint32_t refusal, unsigned char *instructions)
{
    struct sock_filter filter[VKM_FILTER_MOST];
    const unsigned short length = filter_for(refusal, filter);
    memcpy(instructions, filter, length * sizeof *filter);
    return length;
}

int vkm_refuse_maps(uint32_t refusal)
{
    struct sock_filter filter[VKM_FILTER_MOST];
    struct sock_fprog program = {filter_for(refusal, filter), filter};
    return program.len && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
           !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
