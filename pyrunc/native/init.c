/* pyrunc-init: executes one program of operations (docs/internals.md), one by one, and reports.
 *
 * One unit, so that everything is static.  Freestanding: no libc, no allocation after the program was
 * checked, no state outside of struct init.  PYRUNC_HOSTED builds it with a libc for the sanitizers;
 * PYRUNC_TEST adds the arguments fail=INDEX:ERRNO, stop=INDEX and decode (check the program and leave).
 */

#include "sys.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <asm/termios.h>
#include <linux/bpf.h>
#include <linux/bpf_common.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <linux/stat.h>
#include <linux/time_types.h>
#include <stdbool.h>

#include "ops.h"

/* Numbers of the kernel's interface that its own headers leave to libc, or that differ in spelling. */
#define AF_INET_NUMBER 2
#define SOCK_DGRAM_NUMBER 2
#define IFF_UP_FLAG 1
#define SIGKILL_NUMBER 9
#define SIGCHLD_NUMBER 17
#define LAST_SIGNAL 64
#define P_PIDFD_NUMBER 3
#define WEXITED_FLAG 4
#define CLD_EXITED_NUMBER 1
#define MNT_DETACH_FLAG 2
#define UMOUNT_NOFOLLOW_FLAG 8
#define X_OK_MODE 1
#define CLONE_NEWTIME_FLAG 0x80
#define CLOSE_RANGE_CLOEXEC_FLAG 4
#define IOPRIO_WHO_PROCESS_NUMBER 1
#define KEYCTL_POSSESSOR_ALL 0x3f000000u
#define KEYCTL_USER_VIEW_READ_SEARCH_LINK 0x001b0000u
#define MFD_CLOEXEC 1u
#ifndef BPF_MAXINSNS
#define BPF_MAXINSNS 4096
#endif
#ifndef F_GET_SEALS
#define F_GET_SEALS 1034
#define F_SEAL_SHRINK 2
#define F_SEAL_WRITE 8
#endif

/* The start of siginfo_t as waitid fills it. */
struct siginfo_status {
	int signal, error, code, pad, pid, uid, status;
	int rest[25];
};

#include "wire.c"
#include "report.c"

#include "look.c"

#include "made.c"

#include "path.c"

#include "copy.c"

#include "mount.c"

#include "layers.c"

#include "identity.c"

#include "home.c"

#include "namespaces.c"

#include "terminal.c"

#include "hook.c"

#include "process.c"

#include "hold.c"

typedef long operation(struct init *c, const struct argument *a);

static operation *const operations[OP_COUNT] = {
#define ENTRY(name, NAME) [OP_##NAME] = op_##name,
	FOR_EACH_OP(ENTRY)
#undef ENTRY
};

#ifdef PYRUNC_TEST
/* What the test wants at this operation: an errno to fail with, 0 otherwise. */
static long interfere(struct init *c)
{
	for (int i = 3; i < c->argc; i++) {
		const char *arg = c->argv[i], *colon = find_char(arg, ':');
		if (starts_with(arg, "stop=") && parse_number(arg + 5, 0) == (long)c->index) {
			send_message(c, MSG_STOPPED, 0, 0, -1);
			wait_for_runtime(c);
		}
		if (starts_with(arg, "fail=") && colon && parse_number(arg + 5, ':') == (long)c->index)
			return FAIL(c, -parse_number(colon + 1, 0), "injected failure");
	}
	return 0;
}

static bool is_test_argument(const char *arg)
{
	return starts_with(arg, "stop=") || starts_with(arg, "fail=") || streq(arg, "decode");
}
#endif

/* Ignored and blocked signals survive execve; the container's process gets neither from the caller. */
static void reset_signals(void)
{
	const struct signal_action default_action = {0};
	const u64 none = 0;
	for (int signal = 1; signal <= LAST_SIGNAL; signal++)
		sys(rt_sigaction, signal, &default_action, NULL, 8); /* SIGKILL and SIGSTOP: EINVAL */
	sys(rt_sigprocmask, 2 /* SIG_SETMASK */, &none, NULL, 8);
}

/* Maps the program.  Sealed, it can neither change after the check nor shrink under the mapping. */
static long load(struct init *c, int fd)
{
	struct statx st;
	const char *wrong;
	const u8 *data;
	long seals = sys(fcntl, fd, F_GET_SEALS), where;
	if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_WRITE)) != (F_SEAL_SHRINK | F_SEAL_WRITE))
		return FAIL(c, -EPROTO, "the program is not sealed");
	if (look(fd, &st) || st.stx_size < HEADER || st.stx_size > 1u << 30)
		return FAIL(c, -EPROTO, "no program");
	where = TRY(c, sys(mmap, NULL, st.stx_size, PROT_READ, MAP_PRIVATE, fd, 0), "mmap");
	data = (const u8 *)where;
#ifdef PYRUNC_HOSTED
	/* Exactly as long as it is, so that the address sanitizer sees a read beyond it. */
	data = memcpy(malloc(st.stx_size), data, st.stx_size);
#endif
	wrong = check_program(&c->program, data, st.stx_size, &c->index);
	if (wrong) {
		FAIL(c, -EPROTO, "the program is broken: ", wrong);
		if (c->index != ~0u) {
			add(&c->detail, " in operation ");
			add_number(&c->detail, c->index);
		}
		c->index = ~0u;
		return -EPROTO;
	}
	/* HOME is one more than the lists of execve hold. */
	where = sys(mmap, NULL, ((u64)c->program.pointers + 3) * sizeof(char *), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	c->pointers = (const char **)TRY(c, where, "mmap");
	return 0;
}

/* What runs before the clone mounts layers on the host: when the runtime is killed that ends at once, so that whoever
 * deletes the container finds all of it.  Not inherited by the container's process. */
static void die_with_runtime(struct init *c)
{
	u8 byte;
	sys(prctl, PR_SET_PDEATHSIG, SIGKILL_NUMBER);
	if (sys(recvfrom, c->sock, &byte, 1, MSG_PEEK_FLAG | MSG_DONTWAIT_FLAG, NULL, NULL) == 0)
		end(1); /* it has gone already */
}

/* SLOT=FD */
static long preset(struct init *c, const char *arg)
{
	const char *equals = find_char(arg, '=');
	long slot = equals ? parse_number(arg, '=') : -1, fd = equals ? parse_number(equals + 1, 0) : -1;
	if (slot < 0 || slot >= SLOT_LIMIT || fd < 0)
		return FAIL(c, -EPROTO, "what is ", arg, "?");
	return fill(c, slot, fd, "a preset descriptor");
}

static long prepare(struct init *c, int program)
{
	long done = 0;
	TRY(c, sys(close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC_FLAG), "close_range");
	for (int i = 3; done == 0 && i < c->argc; i++)
#ifdef PYRUNC_TEST
		if (!is_test_argument(c->argv[i]))
#endif
			done = preset(c, c->argv[i]);
	if (done == 0)
		done = load(c, program);
	sys(close, program);
	return done;
}

static void run(struct init *c)
{
	struct argument a[MAX_ARGUMENTS];
	struct reader r = {.at = c->program.first, .end = c->program.end};
	for (c->index = 0; c->index < c->program.count; c->index++) {
		u32 opcode = take_op(&r, a);
		long done = 0;
#ifdef PYRUNC_TEST
		done = interfere(c);
#endif
		if (done == 0)
			done = operations[opcode](c, a);
		if (done < 0)
			give_up(c, -done);
	}
}

static int start(int argc, char **argv)
{
	long where = sys(mmap, NULL, sizeof(struct init), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct init *c = (struct init *)where;
	long sock = argc > 2 ? parse_number(argv[1], 0) : -1, program = argc > 2 ? parse_number(argv[2], 0) : -1;
	static const char usage[] = "usage: pyrunc-init SOCKET PROGRAM [SLOT=FD ...]\n";
	if (sock < 0 || program < 0 || where < 0) {
		retry_write(2, usage, sizeof usage - 1);
		return 2;
	}
	c->sock = (int)sock;
	c->fifo = -1;
	c->index = ~0u;
	c->argc = argc;
	c->argv = argv;
	c->detail = text_in(c->detail_text, sizeof c->detail_text);
	reset_signals();
	die_with_runtime(c);
	sys(prctl, PR_SET_NAME, "pyrunc-init"); /* exec of a memfd leaves a number there */
	long done = prepare(c, (int)program);
	if (done < 0)
		give_up(c, -done);
#ifdef PYRUNC_TEST
	for (int i = 3; i < argc; i++)
		if (streq(argv[i], "decode"))
			return 0;
#endif
	run(c);
	return 0;
}

#ifdef PYRUNC_HOSTED
int main(int argc, char **argv)
{
	end(start(argc, argv));
}
#else
_Noreturn void start_c(long *stack);
_Noreturn void start_c(long *stack)
{
	end(start((int)stack[0], (char **)(stack + 1)));
}
#endif
