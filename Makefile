# Every target calls a script of the same name; `make help` lists them.
SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-storage lint format bench fuzz man

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{ printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## install the libraries and tools that are missing
	@scripts/setup

demo: ## back up a real folder, restore, compare: in a folder, and at a provider on this machine
	@scripts/demo

test: ## lint, build and run all tests
	@scripts/test

test-storage: ## install and start Ceph, OpenStack Swift and rclone, and run the storage tests against each
	@scripts/test-storage

lint: ## check the formatting, the layering of the targets and the scripts
	@scripts/lint

format: ## format all Swift sources in place
	@scripts/format

bench: ## measure hawser beside restic and Borg, and the ceiling of its kernels
	@scripts/bench

man: ## write the manual pages, to .build/man
	@scripts/man

fuzz: ## fuzz every decoder for SECONDS each (default 60)
	@scripts/fuzz $(SECONDS)
