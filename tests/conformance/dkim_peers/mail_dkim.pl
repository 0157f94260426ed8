# mail_dkim.pl verify KEYS FILE...: a line "FILE pass|other" for each message, by Mail::DKIM (libmail-dkim-perl).
# mail_dkim.pl bench KEYS SECONDS FILE...: microseconds per verification of the files in turn.
# mail_dkim.pl sign KEYFILE SELECTOR DOMAIN ALGORITHM METHOD FILE: the DKIM-Signature field on standard output.
use strict;
use warnings;
use Mail::DKIM::Signer;
use Mail::DKIM::Verifier;
use Net::DNS;
use Time::HiRes 'clock';

sub message {
    my ($path) = @_;
    open( my $in, '<:raw', $path ) or die "$path: $!";
    local $/;
    return <$in>;
}

my $mode = shift;
if ( $mode eq 'sign' ) {
    my ( $keyfile, $selector, $domain, $algorithm, $method, $file ) = @ARGV;
    my $dkim = Mail::DKIM::Signer->new(
        Algorithm => $algorithm,
        Method    => $method,
        Domain    => $domain,
        Selector  => $selector,
        KeyFile   => $keyfile,
    );
    $dkim->PRINT( message($file) );
    $dkim->CLOSE;
    ( my $field = $dkim->signature->as_string ) =~ s/\r?\n/\r\n/g;
    binmode STDOUT;
    print "$field\r\n";
    exit 0;
}

my %records;
for ( split /\n/, message(shift) ) {
    my ( $name, $text ) = split / /, $_, 2;
    $records{ lc $name } = $text;
}
{
    no warnings 'redefine';
    *Mail::DKIM::DNS::query = sub {
        my ($name) = @_;
        my $text = $records{ lc $name };
        return unless defined $text;
        return Net::DNS::RR->new(
            owner   => $name,
            type    => 'TXT',
            txtdata => [ unpack '(a200)*', $text ]
        );
    };
}
if ( $mode eq 'bench' ) {
    my ( $seconds, @messages ) = ( shift, map { message($_) } @ARGV );
    my ( $start, $count ) = ( clock, 0 );
    while ( clock() - $start < $seconds ) {
        my $dkim = Mail::DKIM::Verifier->new;
        $dkim->PRINT( $messages[ $count++ % @messages ] );
        $dkim->CLOSE;
        die 'not verified' if $dkim->result ne 'pass';
    }
    printf "%.1f\n", ( clock() - $start ) / $count * 1e6;
    exit 0;
}
for my $file (@ARGV) {
    my $result = eval {
        my $dkim = Mail::DKIM::Verifier->new;
        $dkim->PRINT( message($file) );
        $dkim->CLOSE;
        $dkim->result;
    };
    print "$file ", ( defined $result && $result eq 'pass' ? 'pass' : 'other' ), "\n";
}
