/* System calls without a libc, and the few string functions that pyrunc-init and the launcher need.
 *
 * Every sys_* returns the kernel's own answer: a negative errno on failure.  Kernel floor: Linux 5.12
 * (mount_setattr; openat2 came with 5.6, clone3 into a cgroup with 5.7, close_range with 5.9, its
 * CLOEXEC flag with 5.11).  Headers may be older: what they lack is defined here.
 */
#pragma once

#include <asm/errno.h>
#include <asm/posix_types.h>
#include <asm/statfs.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 i64;

#define NULL ((void *)0)
#define PATH_LIMIT 4096
#define NAME_LIMIT 255

/* The same numbers on every architecture. */
#ifndef __NR_pidfd_send_signal
#define __NR_pidfd_send_signal 424
#endif
#ifndef __NR_open_tree
#define __NR_open_tree 428
#define __NR_move_mount 429
#define __NR_fsopen 430
#define __NR_fsconfig 431
#define __NR_fsmount 432
#endif
#ifndef __NR_clone3
#define __NR_clone3 435
#endif
#ifndef __NR_close_range
#define __NR_close_range 436
#endif
#ifndef __NR_openat2
#define __NR_openat2 437
#endif
#ifndef __NR_faccessat2
#define __NR_faccessat2 439
#endif
#ifndef __NR_mount_setattr
#define __NR_mount_setattr 442
#endif
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif

#ifdef PYRUNC_HOSTED

extern long syscall(long number, ...);
extern int *__errno_location(void);
extern void *memcpy(void *to, const void *from, unsigned long n);
extern void *memset(void *to, int byte, unsigned long n);
extern void *memmove(void *to, const void *from, unsigned long n);
extern int memcmp(const void *a, const void *b, unsigned long n);
extern unsigned long strlen(const char *s);
extern void *malloc(unsigned long n);

static inline long sys6(long number, long a, long b, long c, long d, long e, long f)
{
	long result = syscall(number, a, b, c, d, e, f);
	return result == -1 ? -*__errno_location() : result;
}

#else

static inline long sys6(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__) && !defined(__ILP32__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
#else
#error "pyrunc-init knows the system call convention of x86_64 and aarch64 only"
#endif
}

/* The compiler may call these four by itself, so they cannot be static. */
void *memcpy(void *to, const void *from, unsigned long n);
void *memset(void *to, int byte, unsigned long n);
int memcmp(const void *a, const void *b, unsigned long n);
void *memmove(void *to, const void *from, unsigned long n);

void *memcpy(void *to, const void *from, unsigned long n)
{
	u8 *t = to;
	const u8 *f = from;
	while (n--)
		*t++ = *f++;
	return to;
}

void *memmove(void *to, const void *from, unsigned long n)
{
	u8 *t = to;
	const u8 *f = from;
	if (t <= f)
		return memcpy(to, from, n);
	while (n--)
		t[n] = f[n];
	return to;
}

void *memset(void *to, int byte, unsigned long n)
{
	u8 *t = to;
	while (n--)
		*t++ = (u8)byte;
	return to;
}

int memcmp(const void *a, const void *b, unsigned long n)
{
	const u8 *x = a, *y = b;
	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

static inline unsigned long strlen(const char *s)
{
	const char *end = s;
	while (*end)
		end++;
	return (unsigned long)(end - s);
}

/* Where the kernel starts the program: the stack holds argc, argv, NULL, envp, NULL.  A frame pointer of
 * zero ends a debugger's walk; the ABI wants the stack aligned to 16 bytes. */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start_c\n\thlt\n");
#else
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tand sp, x0, #-16\n\tb start_c\n");
#endif

#endif

#define SYS_PICK(_1, _2, _3, _4, _5, _6, _7, name, ...) name
#define SYS1(n) sys6(n, 0, 0, 0, 0, 0, 0)
#define SYS2(n, a) sys6(n, (long)(a), 0, 0, 0, 0, 0)
#define SYS3(n, a, b) sys6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS4(n, a, b, c) sys6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS5(n, a, b, c, d) sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS6(n, a, b, c, d, e) sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS7(n, a, b, c, d, e, f) sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* sys(openat, AT_FDCWD, "/", O_PATH): missing arguments are zero. */
#define sys(...) sys_numbered(__VA_ARGS__)
#define sys_numbered(name, ...) SYS_PICK(__NR_##name, ##__VA_ARGS__, SYS7, SYS6, SYS5, SYS4, SYS3, SYS2, SYS1)(__NR_##name, ##__VA_ARGS__)

/* A file descriptor that closes itself at the end of its scope. */
static inline void close_held(const int *fd)
{
	if (*fd >= 0)
		sys(close, *fd);
}
#define held_fd __attribute__((cleanup(close_held))) int

static inline int streq(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static inline int starts_with(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return 0;
	return 1;
}

static inline const char *find_char(const char *s, char wanted)
{
	for (; *s; s++)
		if (*s == wanted)
			return s;
	return NULL;
}

/* A text that is cut off, never overrun, when it reaches its limit; always ends with NUL. */
struct text {
	char *at;
	u32 used, limit;
};

static inline struct text text_in(char *buffer, u32 limit)
{
	buffer[0] = 0;
	return (struct text){buffer, 0, limit};
}

static inline void add_bytes(struct text *t, const char *s, unsigned long n)
{
	unsigned long room = t->limit - 1 - t->used;
	if (n > room)
		n = room;
	memcpy(t->at + t->used, s, n);
	t->used += (u32)n;
	t->at[t->used] = 0;
}

static inline void add(struct text *t, const char *s)
{
	add_bytes(t, s, strlen(s));
}

static inline void add_number(struct text *t, i64 value)
{
	char digits[24];
	u32 n = sizeof digits;
	u64 left = value < 0 ? -(u64)value : (u64)value;
	do
		digits[--n] = (char)('0' + left % 10);
	while (left /= 10);
	if (value < 0)
		digits[--n] = '-';
	add_bytes(t, digits + n, sizeof digits - n);
}

/* Takes the last component of a path away, and the slash before it. */
static inline void drop_component(struct text *t)
{
	while (t->used && t->at[t->used - 1] != '/')
		t->used--;
	if (t->used)
		t->used--;
	t->at[t->used] = 0;
}

/* A decimal number up to `stop`; -1 when it is none. */
static inline long parse_number(const char *s, char stop)
{
	long value = 0;
	if (*s == stop)
		return -1;
	for (; *s != stop; s++) {
		if (*s < '0' || *s > '9' || value > 100000000)
			return -1;
		value = value * 10 + (*s - '0');
	}
	return value;
}

static inline long retry_read(int fd, void *buffer, unsigned long n)
{
	long got;
	do
		got = sys(read, fd, buffer, n);
	while (got == -EINTR);
	return got;
}

static inline long retry_write(int fd, const void *buffer, unsigned long n)
{
	long put;
	do
		put = sys(write, fd, buffer, n);
	while (put == -EINTR);
	return put;
}
