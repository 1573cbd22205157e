// SPDX-License-Identifier: Apache-2.0
// Test code: the core of Maker by what is documented of it, in words of our own: a Vat of vaults, fees that compound by the second, adapters,
// a price poked by hand. Its own contracts are on no package index, so that these stand for them.
pragma solidity 0.8.19;

interface Token {
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

interface Feed {
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
}

contract Vat {
    struct Ilk { uint256 Art; uint256 rate; uint256 spot; uint256 line; uint256 dust; }
    struct Urn { uint256 ink; uint256 art; }

    address immutable maker = msg.sender;
    mapping(bytes32 => Ilk) public ilks;
    mapping(bytes32 => mapping(address => Urn)) public urns;
    mapping(bytes32 => mapping(address => uint256)) public gem;
    mapping(address => uint256) public dai;
    mapping(address => bool) part;

    modifier ours() {
        require(msg.sender == maker || part[msg.sender], "Vat/not-authorized");
        _;
    }

    // An anonymous log of the selector and the first three arguments, each a topic.
    modifier note() {
        _;
        bytes32[3] memory told = abi.decode(msg.data[4:100], (bytes32[3]));
        bytes32 sig = bytes32(msg.sig);
        bytes memory whole = abi.encodePacked(msg.data, new bytes(224));
        assembly {
            log4(add(whole, 32), 224, sig, mload(told), mload(add(told, 32)), mload(add(told, 64)))
        }
    }

    function rely(address who) external ours { part[who] = true; }
    function set(bytes32 i, uint256 rate, uint256 dust) external ours { (ilks[i].rate, ilks[i].dust) = (rate, dust); }
    function put(bytes32 i, address u, uint256 ink, uint256 art) external ours { (urns[i][u].ink, urns[i][u].art) = (ink, art); }
    function spot(bytes32 i, uint256 value) external ours { ilks[i].spot = value; }
    function fold(bytes32 i, uint256 rate) external ours { ilks[i].rate = rate; }
    function slip(bytes32 i, address usr, uint256 wad) external ours { gem[i][usr] += wad; }
    function suck(address usr, uint256 rad) external ours { dai[usr] += rad; }

    function frob(bytes32 i, address u, address v, address w, int256 dink, int256 dart) external note {
        Urn storage urn = urns[i][u];
        Ilk storage ilk = ilks[i];
        urn.ink = uint256(int256(urn.ink) + dink);
        urn.art = uint256(int256(urn.art) + dart);
        uint256 owed = urn.art * ilk.rate;
        bool safer = dart <= 0 && dink >= 0;
        require(safer || owed <= urn.ink * ilk.spot, "Vat/not-safe");
        require(safer || u == msg.sender, "Vat/not-allowed-u");
        require(dink <= 0 || v == msg.sender, "Vat/not-allowed-v");
        require(dart >= 0 || w == msg.sender, "Vat/not-allowed-w");
        require(urn.art == 0 || owed >= ilk.dust, "Vat/dust");
        gem[i][v] = uint256(int256(gem[i][v]) - dink);
        dai[w] = uint256(int256(dai[w]) + dart * int256(ilk.rate));
    }
}

contract Spotter {
    struct Ilk { address pip; uint256 mat; }

    Vat immutable vat;
    uint256 public constant par = 1e27;
    mapping(bytes32 => Ilk) public ilks;

    constructor(Vat vat_, bytes32 i, address pip, uint256 mat) { (vat, ilks[i]) = (vat_, Ilk(pip, mat)); }

    function poke(bytes32 i) external {
        (, int256 answer,,,) = Feed(ilks[i].pip).latestRoundData();
        vat.spot(i, uint256(answer) * 1e10 * 1e9 * 1e27 / par * 1e27 / ilks[i].mat);
    }
}

contract Jug {
    struct Ilk { uint256 duty; uint256 rho; }

    Vat public immutable vat;
    uint256 public constant base = 0;
    mapping(bytes32 => Ilk) public ilks;

    constructor(Vat vat_, bytes32 i, uint256 duty) { (vat, ilks[i]) = (vat_, Ilk(duty, block.timestamp)); }

    function drip(bytes32 i) external returns (uint256 rate) {
        (, rate,,,) = vat.ilks(i);
        rate = power(base + ilks[i].duty, block.timestamp - ilks[i].rho) * rate / 1e27;
        vat.fold(i, rate);
        ilks[i].rho = block.timestamp;
    }

    // By squaring, each product rounded to the nearest, a half up.
    function power(uint256 x, uint256 n) internal pure returns (uint256 y) {
        y = n % 2 == 1 ? x : 1e27;
        for (n /= 2; n > 0; n /= 2) {
            x = (x * x + 5e26) / 1e27;
            if (n % 2 == 1) y = (y * x + 5e26) / 1e27;
        }
    }
}

contract Dog {
    struct Ilk { address clip; uint256 chop; uint256 hole; uint256 dirt; }

    uint256 public constant Hole = 1e53;
    uint256 public constant Dirt = 0;

    function ilks(bytes32) external pure returns (address, uint256, uint256, uint256) {
        return (address(0), 1.13e18, 5e52, 0);
    }
}

contract GemJoin {
    Vat public immutable vat;
    bytes32 public ilk;
    address public gem;
    uint256 public dec;

    constructor(Vat vat_, bytes32 i, address token, uint256 digits) { (vat, ilk, gem, dec) = (vat_, i, token, digits); }

    function join(address usr, uint256 wad) external {
        require(Token(gem).transferFrom(msg.sender, address(this), wad), "GemJoin/failed-transfer");
        vat.slip(ilk, usr, wad * 10 ** (18 - dec));
    }
}

contract DaiJoin {
    Vat public immutable vat;
    address public dai;

    constructor(Vat vat_, address token) { (vat, dai) = (vat_, token); }

    function join(address usr, uint256 wad) external {
        vat.suck(usr, wad * 1e27);
        require(Token(dai).transferFrom(msg.sender, address(this), wad), "Dai/insufficient-balance");
    }
}

contract Harness {
    Vat public vat = new Vat();
    Dog public dog = new Dog();
    Spotter public spotter;
    Jug public jug;
    GemJoin public join;
    DaiJoin public daiJoin;

    // A vault of `ink` and `art` for `urn`; the rate is 1.05 already, the fee some 5 % a year.
    constructor(bytes32 i, address token, address feed, address dai, address urn, uint256 ink, uint256 art) {
        spotter = new Spotter(vat, i, feed, 1.45e27);
        jug = new Jug(vat, i, 1000000001547125957863212448);
        join = new GemJoin(vat, i, token, 18);
        daiJoin = new DaiJoin(vat, dai);
        vat.rely(address(spotter));
        vat.rely(address(jug));
        vat.rely(address(join));
        vat.rely(address(daiJoin));
        vat.set(i, 1.05e27, 2000e45);
        vat.put(i, urn, ink, art);
        spotter.poke(i);
    }
}
