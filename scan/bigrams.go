package scan

// bigramClasses are what a byte is to bigramBits: its place here, case aside, or
// the last place.
const bigramClasses = "abcdefghijklmnopqrstuvwxyz0123456789_-. "

// bigramBits says how rare two bytes in a row are in source code and prose: a row
// for the first, a column for the second, in both the order of bigramClasses. A
// digit of base 36 is -log2 of the frequency, less four. Counted over the sources
// and documentation of Go, Python and Debian's packages.
const bigramBits = "" +
	"9655986b6b7454c6b45378888ba999aaa9aa9995" +
	"69896abd77c6bb7ad88b6ddc6caaaaaaaaaaac96" +
	"597859a57d668a49b6857bbc8d9a9aaaaaaa8b85" +
	"698648aa5cb7a969b7797abb8daa9aa99aaa7973" +
	"585465798b945486633497756c9aaaaaaaaa6862" +
	"699976ac5ee79a5ad6986dcd9eaaaaaaaa9aa954" +
	"9c9b5b977ed8976be7688bceccebceeeeffe8b75" +
	"5cbb4ccc6eba9b6bd9979cddadeccdedffgg8b85" +
	"7756656dac945346b644b7d7e7feddfeegegac97" +
	"addc8deececede9cee9eadceeeefeffffffgdfc9" +
	"7caa5c8d8ddacabbdb8b9c9edefdddffffff9c96" +
	"5996459b4db5aa58ca666abe7ddccddebfff7a84" +
	"57b84bcc7db87a55db797cbc9dfdceeedeef8b95" +
	"5a54474a6c889758ca5477bd8cebdcffeffd7973" +
	"7765967c7b765365c3655779dbebdeeffecg8a85" +
	"4b995aa87e86bb56c5767abc7dea9bcacfde8b85" +
	"cddddedddfebcdeddcbd6ecedefdeffffgfgbfa8" +
	"5977386b4e877549c555679c6edacddfefee7a73" +
	"7b6939965d888966a9536a9c7deacdddedef7953" +
	"497738a34da78957c4565a896bb9bace8ebf6863" +
	"8788588e6ed56596e565cdeadc8a9cffdfffcfb8" +
	"5cac5ccd7eeccb9bbcbcdcdedca9acbfbfgfbea7" +
	"7caa7cc76dcac87bd79bddaddedeedfdffgf9c97" +
	"797978dc8eeaacb7dcb6ddda9d67888899889a96" +
	"bbab9b9c9dd89996e977bc9ddcdccceeedee8a84" +
	"aedd7ded9eedcdadecdddeedccdeccffffggbfd9" +
	"999999effffeefdegfeeffe5fe5788899998c984" +
	"aa9999eeeffecefdeedebdedff7878888888bb85" +
	"aa9aa9eedeedddedfdcdeefdff7888879989bb95" +
	"aaaaaafffefeeffffdefffffff8889898889cc96" +
	"aaaaaaeeeffddefdfeeebffeff8998999999cba6" +
	"aaaaaafdfefeeeeegfeeffffff8888988999dcb6" +
	"aaaaaaefegfcdeddfeeedfffff9999799999bbb6" +
	"aaaaaafffffffgfffffeffggff9999999999dcc7" +
	"aaaaaaffgfeeffgeffffgfeffg9999899999cbb6" +
	"aaaaaafgffeffegegffdfeefeg9999999999bbb6" +
	"786777887b977786b767888bdcdbbceddddf6fb6" +
	"aa9999bb9cc99aa9da89bbbceab9abdcddaae6e5" +
	"7868777879a87887c767998bcc889abbcccb6f84" +
	"3434445538644444733355558845667789896560"
