/*
 * Locks that are free and locks that are not, and knows of each call which it was. Every
 * thread times its own waits. Prints what happened as JSON.
 *
 * waits [--wait]  with --wait: says ready and waits for a line on stdin before it begins,
 *                 and for another before it exits; without the first, it exits at once.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((noinline, noclone, used, externally_visible))

enum { WORKERS = 4, FREE = 15000, ROUNDS = 20, SPIN_FREE = 5000 };

/* How long the main thread keeps a lock that all others want, ns. */
static const long HOLD = 2 * 1000 * 1000;

enum { MUTEX, RWLOCK, SPIN, KINDS };

static pthread_mutex_t shared_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t shared_rwlock = PTHREAD_RWLOCK_INITIALIZER;
static atomic_int spin_lock;

struct worker {
	pthread_t thread;
	int number;
	atomic_int tid;
	atomic_int wants; /* the round that it is in */
	atomic_int has;   /* the round in which it has had the lock */
	pthread_mutex_t own;
	uint64_t waits[KINDS], wait_ns[KINDS];
};

static struct worker workers[WORKERS];
static atomic_int round_now;

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void breathe(long ns)
{
	const struct timespec t = { 0, ns };
	nanosleep(&t, NULL);
}

/* A lock that never sleeps. */
EXPORT void spin_take(atomic_int *lock)
{
	int expected = 0;
	while (!atomic_compare_exchange_weak(lock, &expected, 1)) {
		expected = 0;
		__builtin_ia32_pause();
	}
}

EXPORT void take_own(pthread_mutex_t *lock)
{
	pthread_mutex_lock(lock);
	pthread_mutex_unlock(lock);
}

EXPORT void take_shared(struct worker *w, int kind)
{
	uint64_t begin = now();
	if (kind == MUTEX)
		pthread_mutex_lock(&shared_mutex);
	else if (kind == SPIN)
		spin_take(&spin_lock);
	else if (w->number % 2)
		pthread_rwlock_wrlock(&shared_rwlock);
	else
		pthread_rwlock_rdlock(&shared_rwlock);
	w->wait_ns[kind] += now() - begin;
	w->waits[kind]++;
}

static void give_shared(int kind)
{
	if (kind == MUTEX)
		pthread_mutex_unlock(&shared_mutex);
	else if (kind == SPIN)
		atomic_store(&spin_lock, 0);
	else
		pthread_rwlock_unlock(&shared_rwlock);
}

static int kind_of(int round)
{
	return (round - 1) / ROUNDS;
}

static void *work(void *argument)
{
	struct worker *w = argument;

	atomic_store(&w->tid, (int)syscall(SYS_gettid));
	for (int i = 0; i < FREE; i++)
		take_own(&w->own);
	for (int round = 1; round <= KINDS * ROUNDS; round++) {
		while (atomic_load(&round_now) < round)
			breathe(100 * 1000);
		/* One waiter is enough for a lock that burns a CPU. */
		if (kind_of(round) != SPIN || w->number == 0) {
			atomic_store(&w->wants, round);
			take_shared(w, kind_of(round));
			give_shared(kind_of(round));
		} else
			atomic_store(&w->wants, round);
		atomic_store(&w->has, round);
	}
	return NULL;
}

static int sleeps(int tid)
{
	char path[64], text[512] = "";
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
	FILE *file = fopen(path, "r");
	if (!file)
		return 0;
	size_t size = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[size] = 0;
	char *name = strrchr(text, ')');
	return name && name[1] && name[2] == 'S';
}

/* All workers want a lock that this thread has; nobody gets it before it sleeps for it. */
static void contend(int round)
{
	int kind = kind_of(round);
	if (kind == MUTEX)
		pthread_mutex_lock(&shared_mutex);
	else if (kind == SPIN)
		spin_take(&spin_lock);
	else
		pthread_rwlock_wrlock(&shared_rwlock);
	atomic_store(&round_now, round);
	for (int i = 0; i < WORKERS; i++) {
		while (atomic_load(&workers[i].wants) < round)
			breathe(100 * 1000);
		while (kind != SPIN && !sleeps(atomic_load(&workers[i].tid)))
			breathe(100 * 1000);
	}
	breathe(HOLD);
	give_shared(kind);
	for (int i = 0; i < WORKERS; i++)
		while (atomic_load(&workers[i].has) < round)
			breathe(100 * 1000);
}

static void print_lock(const char *name, void *address, int kind, const char *end)
{
	uint64_t waits = 0, wait_ns = 0;
	for (int i = 0; i < WORKERS; i++) {
		waits += workers[i].waits[kind];
		wait_ns += workers[i].wait_ns[kind];
	}
	printf("\"%s\":{\"address\":\"%p\",\"waits\":%lu,\"wait_ns\":%lu}%s", name, address,
	       (unsigned long)waits, (unsigned long)wait_ns, end);
}

int main(int argc, char **argv)
{
	int wait = argc > 1 && !strcmp(argv[1], "--wait");

	if (wait) {
		printf("ready\n");
		fflush(stdout);
		for (int c; (c = getchar()) != '\n';)
			if (c == EOF)
				return 0; /* never to begin */
	}
	for (int i = 0; i < WORKERS; i++) {
		workers[i].number = i;
		pthread_mutex_init(&workers[i].own, NULL);
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (int i = 0; i < SPIN_FREE; i++) {
		spin_take(&spin_lock);
		give_shared(SPIN);
	}
	for (int round = 1; round <= KINDS * ROUNDS; round++)
		contend(round);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	printf("{");
	print_lock("mutex", &shared_mutex, MUTEX, ",");
	print_lock("rwlock", &shared_rwlock, RWLOCK, ",");
	print_lock("spin", &spin_lock, SPIN, ",");
	printf("\"free\":{\"pthread_mutex_lock\":%d,\"spin_take\":%d}}\n", WORKERS * FREE + ROUNDS,
	       SPIN_FREE + ROUNDS);
	fflush(stdout);
	if (wait)
		while (getchar() != EOF)
			;
	return 0;
}
