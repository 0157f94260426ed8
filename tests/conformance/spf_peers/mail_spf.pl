#!/usr/bin/perl
# mail_spf.pl ZONE-FILE: lines "IP HELO SENDER" on stdin; Mail::SPF's result for each on stdout. Answers come from the
# file alone, one record a line: what is not in it does not exist.
use strict;
use warnings;
use Mail::SPF;
use Net::DNS;

package ZoneResolver;

sub new {
    my ($class, $path) = @_;
    my %records;
    open(my $file, '<', $path) or die "$path: $!";
    while (my $line = <$file>) {
        my $rr = Net::DNS::RR->new($line);
        push @{$records{lc $rr->owner}}, $rr;
    }
    return bless {records => \%records}, $class;
}

sub send {
    my ($self, $name, $type) = @_;
    my $packet = Net::DNS::Packet->new($name, $type);
    my $key = lc $name;
    $key =~ s/\.$//;
    my $here = $self->{records}{$key};
    my $below = grep { /\.\Q$key\E$/ } keys %{$self->{records}};
    $packet->header->qr(1);
    $packet->header->rcode($here || $below ? 'NOERROR' : 'NXDOMAIN');
    $packet->push(answer => grep { $_->type eq $type } @{$here || []});
    return $packet;
}

sub errorstring { return '' }

package main;

my $server = Mail::SPF::Server->new(dns_resolver => ZoneResolver->new($ARGV[0]), hostname => 'mx.example');
$| = 1;
while (my $line = <STDIN>) {
    chomp $line;
    my ($ip, $helo, $sender) = split / /, $line;
    my $result = eval {
        $server->process(Mail::SPF::Request->new(versions => [1], scope => 'mfrom', identity => $sender,
            ip_address => $ip, helo_identity => $helo))->code;
    };
    print defined $result ? "$result\n" : "error\n";
}
