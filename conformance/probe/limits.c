/* What the process may use, and how it is scheduled. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	int number;
} limits[] = {
	{"RLIMIT_AS", RLIMIT_AS},
	{"RLIMIT_CORE", RLIMIT_CORE},
	{"RLIMIT_CPU", RLIMIT_CPU},
	{"RLIMIT_DATA", RLIMIT_DATA},
	{"RLIMIT_FSIZE", RLIMIT_FSIZE},
	{"RLIMIT_LOCKS", RLIMIT_LOCKS},
	{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
	{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
	{"RLIMIT_NICE", RLIMIT_NICE},
	{"RLIMIT_NOFILE", RLIMIT_NOFILE},
	{"RLIMIT_NPROC", RLIMIT_NPROC},
	{"RLIMIT_RSS", RLIMIT_RSS},
	{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
	{"RLIMIT_RTTIME", RLIMIT_RTTIME},
	{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"RLIMIT_STACK", RLIMIT_STACK},
};

static void resource_limits(void)
{
	json_key("rlimits");
	json_open('{');
	for (size_t n = 0; n < sizeof limits / sizeof *limits; n++) {
		struct rlimit limit;
		if (getrlimit((__rlimit_resource_t)limits[n].number, &limit))
			continue;
		json_key(limits[n].name);
		json_open('{');
		json_key("soft");
		json_size(limit.rlim_cur);
		json_key("hard");
		json_size(limit.rlim_max);
		json_close('}');
	}
	json_close('}');
}

/* sched_getattr(2); the library's header has it only lately. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static void scheduling(void)
{
	struct attributes seen;
	memset(&seen, 0, sizeof seen);
	json_key("scheduler");
	if (syscall(SYS_sched_getattr, 0, &seen, sizeof seen, 0)) {
		json_error(errno);
	} else {
		json_open('{');
		json_key("policy");
		json_number(seen.policy);
		json_key("flags");
		json_size(seen.flags);
		json_key("nice");
		json_number(seen.nice);
		json_key("priority");
		json_number(seen.priority);
		json_key("runtime");
		json_size(seen.runtime);
		json_key("deadline");
		json_size(seen.deadline);
		json_key("period");
		json_size(seen.period);
		json_close('}');
	}
	json_key("ioPriority"); /* class << 13 | data */
	json_number(syscall(SYS_ioprio_get, 1, 0));
	cpu_set_t set;
	CPU_ZERO(&set);
	json_key("affinity");
	json_open('[');
	if (sched_getaffinity(0, sizeof set, &set) == 0)
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (CPU_ISSET(cpu, &set))
				json_number(cpu);
	json_close(']');
}

static void memory_policy(void)
{
	unsigned long nodes[16];
	int mode = 0;
	memset(nodes, 0, sizeof nodes);
	json_key("memoryPolicy");
	if (syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, 0, 0)) {
		json_error(errno);
		return;
	}
	json_open('{');
	json_key("mode"); /* with its flags in the upper bits */
	json_number(mode);
	json_key("nodes");
	json_open('[');
	for (size_t n = 0; n < sizeof nodes * 8; n++)
		if (nodes[n / (8 * sizeof *nodes)] >> n % (8 * sizeof *nodes) & 1)
			json_number((long long)n);
	json_close(']');
	json_close('}');
}

void report_limits(void)
{
	resource_limits();
	scheduling();
	memory_policy();
	json_key("personality");
	json_number(personality(0xffffffff));
}
