/*
 * A program that makes copies of itself while it works: what the copies do is not
 * counted. Each process checks its own results.
 *
 * forks [--wait] [GETS]   with --wait: says ready and waits for a line on stdin before it
 *                         begins, and for its end before it exits
 *
 * Prints how often it called `get` itself, and the processes that did so as well and
 * wait until it exits.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPORT __attribute__((noinline, noclone, used, externally_visible))

enum { KEYS = 10, CHILDREN = 4, CHILD_GETS = 1000 };

static const char *const names[KEYS] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"};

EXPORT long get(const char *key)
{
	__asm__ volatile("" ::: "memory");
	return key[1] - '0';
}

static void work(long gets)
{
	long sum = 0, expected = 0;
	for (long i = 0; i < gets; i++) {
		sum += get(names[i % KEYS]);
		expected += i % KEYS;
	}
	if (sum != expected) {
		fprintf(stderr, "%ld instead of %ld\n", sum, expected);
		exit(3);
	}
}

/* A copy works, and then waits until the parent's end of the pipe is closed. */
static pid_t copy(int done[2], int over[2])
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	char byte;
	close(over[1]);
	work(CHILD_GETS);
	if (write(done[1], "d", 1) != 1 || read(over[0], &byte, 1) != 0)
		_exit(4);
	_exit(0);
}

int main(int argc, char **argv)
{
	int held = argc > 1 && strcmp(argv[1], "--wait") == 0;
	long gets = argc > 1 + held ? atol(argv[1 + held]) : 100000;
	pid_t children[CHILDREN];
	int done[2], over[2];
	char line[16];
	if (pipe(done) != 0 || pipe(over) != 0)
		return 2;
	if (held) {
		puts("ready");
		fflush(stdout);
		if (!fgets(line, sizeof line, stdin))
			return 0;
	}
	for (int i = 0; i < CHILDREN; i++) {
		work(gets / CHILDREN);
		children[i] = copy(done, over);
		if (children[i] < 0)
			return 2;
	}
	for (int i = 0; i < CHILDREN; i++)
		if (read(done[0], line, 1) != 1)
			return 2;
	printf("{\"gets\":%ld,\"children\":[", gets / CHILDREN * CHILDREN);
	for (int i = 0; i < CHILDREN; i++)
		printf("%s%d", i ? "," : "", (int)children[i]);
	puts("]}");
	fflush(stdout);
	if (held)
		while (fgets(line, sizeof line, stdin))
			;
	close(over[1]);
	for (int i = 0; i < CHILDREN; i++) {
		int status;
		if (waitpid(children[i], &status, 0) < 0 || status != 0) {
			fprintf(stderr, "a copy ended with %d\n", status);
			return 5;
		}
	}
	return 0;
}
