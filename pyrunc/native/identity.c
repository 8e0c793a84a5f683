/* Who the process is and what it may do: ids, capabilities, seccomp, limits, names, scheduling. */

static long op_dumpable(struct init *c, const struct argument *a)
{
	return TRY(c, sys(prctl, PR_SET_DUMPABLE, a[A_DUMPABLE_VALUE].i), "PR_SET_DUMPABLE");
}

static long op_become_root(struct init *c, const struct argument *a)
{
	long done;
	(void)a;
	TRY(c, sys(setresgid, 0, 0, 0), "setresgid 0");
	TRY(c, sys(setresuid, 0, 0, 0), "setresuid 0");
	done = sys(setgroups, 0, NULL);
	/* user_namespaces(7): EPERM where setgroups is denied, which keeps the caller's groups by design. */
	return done == -EPERM ? 0 : TRY(c, done, "setgroups");
}

static long op_setsid(struct init *c, const struct argument *a)
{
	(void)a;
	TRY(c, sys(setsid), "setsid");
	return 0;
}

/* The user may search it, so that a later process of the container can join it by name.  EACCES: it was
 * there already, and its owner is another user, who has set that. */
static long op_session_keyring(struct init *c, const struct argument *a)
{
	const u32 permissions = KEYCTL_POSSESSOR_ALL | KEYCTL_USER_VIEW_READ_SEARCH_LINK;
	const char *name = a[A_SESSION_KEYRING_NAME].s;
	long key = sys(keyctl, KEYCTL_JOIN_SESSION_KEYRING, name), done;
	if (key == -ENOSYS) /* a kernel without keyrings leaks none */
		return 0;
	TRY(c, key, "join session keyring ", name);
	done = sys(keyctl, KEYCTL_SETPERM, key, permissions);
	return done == -EACCES ? 0 : TRY(c, done, "set permissions of keyring ", name);
}

static long op_hostname(struct init *c, const struct argument *a)
{
	return TRY(c, sys(sethostname, a[A_HOSTNAME_NAME].s, a[A_HOSTNAME_NAME].n), "sethostname");
}

static long op_domainname(struct init *c, const struct argument *a)
{
	return TRY(c, sys(setdomainname, a[A_DOMAINNAME_NAME].s, a[A_DOMAINNAME_NAME].n), "setdomainname");
}

static long op_rlimit(struct init *c, const struct argument *a)
{
	u64 limit[2] = {(u64)a[A_RLIMIT_SOFT].i, (u64)a[A_RLIMIT_HARD].i};
	return TRY(c, sys(prlimit64, 0, a[A_RLIMIT_RESOURCE].i, limit, NULL), "setrlimit");
}

/* Room for the first process of a sandbox: its limit is for itself, what it starts has a lower one.  The kernel holds
 * the descriptors on their way between all processes of a user against the limit of whoever sends one more, and a
 * program may put as many there as its own limit says, and the 253 of a last message. */
static long op_descriptors(struct init *c, const struct argument *a)
{
	const u64 least = (u64)a[A_DESCRIPTORS_LEAST].i, roomy = least + 1024;
	u64 limit[2];
	TRY(c, sys(prlimit64, 0, 7 /* RLIMIT_NOFILE */, NULL, limit), "getrlimit");
	if (limit[1] < roomy) {
		const u64 wanted[2] = {roomy, roomy};
		if (sys(prlimit64, 0, 7, wanted, NULL) == 0)
			return 0;
		/* Beyond what this user may have, or fs.nr_open: what the config asks for has to do. */
	}
	if (limit[1] < least)
		limit[1] = least;
	limit[0] = limit[1];
	return TRY(c, sys(prlimit64, 0, 7, limit, NULL), "setrlimit");
}

static long op_scheduler(struct init *c, const struct argument *a)
{
	struct {
		u32 size, policy;
		u64 flags;
		__s32 nice;
		u32 priority;
		u64 runtime, deadline, period;
	} attr = {
		.size = sizeof attr,
		.policy = (u32)a[A_SCHEDULER_POLICY].i,
		.flags = (u64)a[A_SCHEDULER_FLAGS].i,
		.nice = (__s32)a[A_SCHEDULER_NICE].i,
		.priority = (u32)a[A_SCHEDULER_PRIORITY].i,
		.runtime = (u64)a[A_SCHEDULER_RUNTIME].i,
		.deadline = (u64)a[A_SCHEDULER_DEADLINE].i,
		.period = (u64)a[A_SCHEDULER_PERIOD].i,
	};
	return TRY(c, sys(sched_setattr, 0, &attr, 0), "sched_setattr");
}

static long op_io_priority(struct init *c, const struct argument *a)
{
	return TRY(c, sys(ioprio_set, IOPRIO_WHO_PROCESS_NUMBER, 0, a[A_IO_PRIORITY_VALUE].i), "ioprio_set");
}

static long op_cpu_affinity(struct init *c, const struct argument *a)
{
	return TRY(c, sys(sched_setaffinity, 0, a[A_CPU_AFFINITY_MASK].n, a[A_CPU_AFFINITY_MASK].s), "sched_setaffinity");
}

/* The kernel reads whole longs for maxnode - 1 bits: they must all be in the program. */
static long op_memory_policy(struct init *c, const struct argument *a)
{
	const struct argument *nodes = &a[A_MEMORY_POLICY_NODES];
	i64 maxnode = a[A_MEMORY_POLICY_MAXNODE].i;
	if (!nodes->n)
		return TRY(c, sys(set_mempolicy, a[A_MEMORY_POLICY_MODE].i, NULL, 0), "set_mempolicy");
	if (maxnode < 1 || nodes->n % 8 || (u64)(maxnode - 1) > (u64)nodes->n * 8)
		return FAIL(c, -EINVAL, "set_mempolicy: the mask of nodes is too short");
	return TRY(c, sys(set_mempolicy, a[A_MEMORY_POLICY_MODE].i, nodes->s, maxnode), "set_mempolicy");
}

static long op_personality(struct init *c, const struct argument *a)
{
	TRY(c, sys(personality, a[A_PERSONALITY_DOMAIN].i), "personality");
	return 0;
}

static long op_umask(struct init *c, const struct argument *a)
{
	(void)c;
	sys(umask, a[A_UMASK_MODE].i);
	return 0;
}

static long op_bounding(struct init *c, const struct argument *a)
{
	for (u32 cap = 0; cap < 64; cap++) {
		long has = sys(prctl, PR_CAPBSET_READ, cap);
		char number[24];
		struct text t = text_in(number, sizeof number);
		if (has == -EINVAL) /* the kernel knows no more */
			break;
		add_number(&t, cap);
		if (has > 0 && !((u64)a[A_BOUNDING_KEEP].i >> cap & 1))
			TRY(c, sys(prctl, PR_CAPBSET_DROP, cap), "PR_CAPBSET_DROP ", number);
	}
	return 0;
}

/* 2^32 - 1 means "leave as it is" to the kernel, and anything larger would be cut (CVE-2024-40635). */
static bool is_id(i64 id)
{
	return id >= 0 && id < 0xffffffff;
}

static long op_ids(struct init *c, const struct argument *a)
{
	const struct argument *groups = &a[A_IDS_GROUPS];
	i64 uid = a[A_IDS_UID].i, gid = a[A_IDS_GID].i;
	u32 *list = (u32 *)c->pointers;
	if (!is_id(uid) || !is_id(gid))
		return FAIL(c, -EINVAL, "a user or group id out of range");
	for (u32 i = 0; i < groups->n; i++) {
		if (!is_id(number_at(groups, i)))
			return FAIL(c, -EINVAL, "a supplementary group id out of range");
		list[i] = (u32)number_at(groups, i);
	}
	TRY(c, sys(prctl, PR_SET_KEEPCAPS, 1), "PR_SET_KEEPCAPS");
	if (a[A_IDS_SETGROUPS].i) /* also for an empty list (CVE-2022-2989) */
		TRY(c, sys(setgroups, groups->n, list), "setgroups");
	TRY(c, sys(setresgid, gid, gid, gid), "setresgid");
	return TRY(c, sys(setresuid, uid, uid, uid), "setresuid");
}

/* The capabilities that capset was refused: those that are not permitted now. */
static void add_missing(struct text *t, u64 wanted, struct __user_cap_header_struct *header)
{
	struct __user_cap_data_struct now[2] = {0};
	if (sys(capget, header, now))
		return;
	wanted &= ~((u64)now[1].permitted << 32 | now[0].permitted);
	for (u32 cap = 0; cap < 64; cap++)
		if (wanted >> cap & 1) {
			add(t, " ");
			add_number(t, cap);
		}
}

static long set_ambient(struct init *c, u64 wanted)
{
	for (u32 cap = 0; cap < 64; cap++) {
		long done = wanted >> cap & 1 ? sys(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) : 0;
		if (done < 0 && c->sock >= 0) {
			add(&c->detail, "cannot raise ambient capability ");
			add_number(&c->detail, cap);
			TRY(c, tell(c, MSG_WARNING, cap, -done), "send WARNING");
		}
	}
	return 0;
}

static long op_caps(struct init *c, const struct argument *a)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	u64 e = (u64)a[A_CAPS_EFFECTIVE].i, p = (u64)a[A_CAPS_PERMITTED].i, i = (u64)a[A_CAPS_INHERITABLE].i;
	struct __user_cap_data_struct data[2] = {
		{(u32)e, (u32)p, (u32)i},
		{(u32)(e >> 32), (u32)(p >> 32), (u32)(i >> 32)},
	};
	long done = sys(capset, &header, data);
	if (done) {
		FAIL(c, done, "capset");
		add_missing(&c->detail, p, &header);
		return done;
	}
	done = sys(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	TRY(c, done, "PR_CAP_AMBIENT_CLEAR_ALL");
	return set_ambient(c, (u64)a[A_CAPS_AMBIENT].i);
}

static long op_no_new_privs(struct init *c, const struct argument *a)
{
	(void)a;
	return TRY(c, sys(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
}

/* setresuid to another user than root has emptied the effective set, and a filter without no_new_privs needs
 * CAP_SYS_ADMIN in it.  `caps` comes behind and sets what the config says; where it came before, nothing is left to raise. */
static long raise_permitted(struct init *c)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	if (sys(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return 0;
	TRY(c, sys(capget, &header, data), "capget");
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	return TRY(c, sys(capset, &header, data), "capset");
}

/* Every system call after this one is under the filter: the plan puts little behind it. */
static long op_seccomp(struct init *c, const struct argument *a)
{
	const struct argument *filter = &a[A_SECCOMP_FILTER];
	struct {
		u16 length;
		const void *instructions;
	} program = {(u16)(filter->n / 8), filter->s};
	bool listens = a[A_SECCOMP_LISTENER].i;
	u64 flags = (u64)a[A_SECCOMP_FLAGS].i | (listens ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0);
	if (filter->n % 8 || filter->n / 8 > BPF_MAXINSNS)
		return FAIL(c, -EINVAL, "seccomp: the filter is no BPF program");
	TRY(c, raise_permitted(c), NULL);
	held_fd fd = (int)TRY(c, sys(seccomp, SECCOMP_SET_MODE_FILTER, flags, &program), "seccomp");
	if (!listens) {
		/* With TSYNC a positive result names a thread; there is none but this one. */
		long thread = fd;
		fd = -1;
		return thread ? FAIL(c, -ESRCH, "seccomp: a thread is left without the filter") : 0;
	}
	TRY(c, send_message(c, MSG_LISTENER, 0, 0, fd), "send the seccomp listener");
	wait_for_runtime(c);
	return 0;
}
