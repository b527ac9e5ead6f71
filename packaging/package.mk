# Installing and packaging; included by the Makefile.
#
#   make install    by the GNU conventions: DESTDIR, PREFIX (or prefix), bindir, mandir, …; as root into /usr/local
#   make dist       build/packages/df2redis-VERSION.tar.gz
#   make deb        build/packages/*.deb; lintian looks at it
#   make rpm        build/packages/*.rpm; rpmlint looks at it
#   make check-packages   tries them in a clean Debian; as root
#
# The files of a package are the same bytes in every build: its time is that of the newest entry in packaging/debian/changelog.

VERSION := $(shell sed -n 's/^.define DF2REDIS_VERSION "\(.*\)"/\1/p' common/base/version.h)

PREFIX ?= /usr/local
prefix ?= $(PREFIX)
exec_prefix ?= $(prefix)
bindir ?= $(exec_prefix)/bin
libexecdir ?= $(exec_prefix)/libexec
datarootdir ?= $(prefix)/share
datadir ?= $(datarootdir)
docdir ?= $(datarootdir)/doc/df2redis
mandir ?= $(datarootdir)/man
# The program itself looks in /etc and /var; a prefix of one's own stays below it.
root := $(if $(filter /usr /usr/local,$(prefix)),,$(prefix))
sysconfdir ?= $(root)/etc
localstatedir ?= $(root)/var
initdir ?= $(sysconfdir)/init.d
unitdir ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
tmpfilesdir ?= $(prefix)/lib/tmpfiles.d
bashcompletiondir ?= $(datadir)/bash-completion/completions
zshcompletiondir ?= $(datadir)/zsh/site-functions
# Debian calls it default, Fedora sysconfig.
defaultdir ?= $(sysconfdir)/default

INSTALL ?= install
INSTALL_PROGRAM ?= $(INSTALL)
INSTALL_DATA ?= $(INSTALL) -m 644
# Where df2redis looks for NAME.conf: only a build that was given the same directories knows of others than /etc.
DEFINES += -DDF2REDIS_CONFIG_DIR='"$(sysconfdir)/df2redis"'
# df2redis looks for its worker in ../libexec/df2redis (supervisor/flow/worker_process.c).
workerdir = $(libexecdir)/df2redis

# $(call fill,FROM,TO,MODE): with the directories filled in.
filled = sed -e 's|@bindir@|$(bindir)|g' -e 's|@sysconfdir@|$(sysconfdir)|g' -e 's|@localstatedir@|$(localstatedir)|g' $(1)
fill = $(call filled,$(1)) >$(B)/install.tmp && $(INSTALL) -D -m $(3) $(B)/install.tmp '$(DESTDIR)$(2)' && rm -f $(B)/install.tmp

EXAMPLES = $(wildcard packaging/*.conf.sample packaging/grafana/*.json packaging/prometheus/*.yml packaging/prometheus/*.yaml)

install: all
	$(INSTALL_PROGRAM) -D -m 755 $(B)/df2redis '$(DESTDIR)$(bindir)/df2redis'
	$(INSTALL_PROGRAM) -D -m 755 $(B)/df2redis-worker '$(DESTDIR)$(workerdir)/df2redis-worker'
	for page in man/*.[1-8]; do \
		$(INSTALL_DATA) -D $$page "$(DESTDIR)$(mandir)/man$${page##*.}/$${page##*/}" || exit 1; done
	$(call fill,packaging/systemd/df2redis@.service,$(unitdir)/df2redis@.service,644)
	$(call fill,packaging/systemd/df2redis.service,$(unitdir)/df2redis.service,644)
	$(call fill,packaging/systemd/df2redis.sysusers,$(sysusersdir)/df2redis.conf,644)
	$(call fill,packaging/systemd/df2redis.tmpfiles,$(tmpfilesdir)/df2redis.conf,644)
	$(call fill,packaging/init.d/df2redis,$(initdir)/df2redis,755)
	$(call fill,packaging/logrotate/df2redis,$(sysconfdir)/logrotate.d/df2redis,644)
	test -e '$(DESTDIR)$(defaultdir)/df2redis' || { $(call fill,packaging/df2redis.default,$(defaultdir)/df2redis,644); }
	$(INSTALL_DATA) -D packaging/completion/df2redis.bash '$(DESTDIR)$(bashcompletiondir)/df2redis'
	$(INSTALL_DATA) -D packaging/completion/_df2redis '$(DESTDIR)$(zshcompletiondir)/_df2redis'
	$(INSTALL_DATA) -D README.md '$(DESTDIR)$(docdir)/README.md'
	$(INSTALL_DATA) -D LICENSE '$(DESTDIR)$(docdir)/LICENSE'
	$(foreach f,$(EXAMPLES),$(INSTALL_DATA) -D $(f) '$(DESTDIR)$(docdir)/examples/$(notdir $(f))' &&) true
	@echo 'Installed. User and directories are made by: systemd-sysusers df2redis.conf; systemd-tmpfiles --create df2redis.conf'

install-strip:
	$(MAKE) INSTALL_PROGRAM='$(INSTALL) -s' install

# Everything but what an operator has written: configuration, state and logs stay.
uninstall:
	rm -f '$(DESTDIR)$(bindir)/df2redis' '$(DESTDIR)$(workerdir)/df2redis-worker'
	for page in man/*.[1-8]; do rm -f "$(DESTDIR)$(mandir)/man$${page##*.}/$${page##*/}"; done
	rm -f '$(DESTDIR)$(unitdir)/df2redis@.service' '$(DESTDIR)$(unitdir)/df2redis.service' \
		'$(DESTDIR)$(sysusersdir)/df2redis.conf' '$(DESTDIR)$(tmpfilesdir)/df2redis.conf' \
		'$(DESTDIR)$(initdir)/df2redis' '$(DESTDIR)$(sysconfdir)/logrotate.d/df2redis' \
		'$(DESTDIR)$(bashcompletiondir)/df2redis' '$(DESTDIR)$(zshcompletiondir)/_df2redis'
	mkdir -p $(B) && $(call filled,packaging/df2redis.default) | cmp -s - '$(DESTDIR)$(defaultdir)/df2redis' && \
		rm '$(DESTDIR)$(defaultdir)/df2redis' || true
	rm -rf '$(DESTDIR)$(docdir)'
	-rmdir '$(DESTDIR)$(workerdir)' '$(DESTDIR)$(sysconfdir)/df2redis' 2>/dev/null

installdirs:
	$(INSTALL) -d '$(DESTDIR)$(bindir)' '$(DESTDIR)$(workerdir)' '$(DESTDIR)$(mandir)' '$(DESTDIR)$(docdir)' \
		'$(DESTDIR)$(unitdir)' '$(DESTDIR)$(sysusersdir)' '$(DESTDIR)$(initdir)' '$(DESTDIR)$(sysconfdir)' \
		'$(DESTDIR)$(bashcompletiondir)' '$(DESTDIR)$(zshcompletiondir)'

dist:
	packaging/build dist $(B)/packages $(VERSION)

deb:
	packaging/build deb $(B)/packages $(VERSION)

rpm:
	packaging/build rpm $(B)/packages $(VERSION)

check-packages: all $(B)/tests/scripted_dragonfly
	tests/packaging/run $(B)

.PHONY: install install-strip uninstall installdirs dist deb rpm check-packages
